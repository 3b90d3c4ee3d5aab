"""The control socket answers permitted clients, survives whatever they send, and never blocks on one."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.report import Report
from greenroom.supervisor.control import control, instances, peer
from greenroom.supervisor.control.control import ControlServer
from greenroom.supervisor.control.control_messages import (
    MAX_REQUEST,
    ActionDone,
    ActionRefused,
    ControlAction,
    ControlAnswer,
    ControlReply,
    ControlRequest,
    GiveReport,
    InterruptConversation,
    KillConversation,
    Reported,
    StopInstance,
    WatchConversation,
    control_line,
    read_control_reply,
    read_control_request,
)
from greenroom.supervisor.control.peer import OUTSIDE, PeerCredentials

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
INSTANCE = instances.this_instance("/home", "fork")
Scene = Callable[["Stage"], Awaitable[None]]


class Stage:
    """A server in a directory, and what it was ordered to do."""

    def __init__(self, directory: str, timeout_s: float = control.TIMEOUT, beat_s: float = control.BEAT) -> None:
        self.directory = directory
        self.orders: list[ControlAction] = []
        self.fault: Exception | None = None
        self.asked: list[GiveReport] = []
        self.server = ControlServer(directory, INSTANCE, self._report, self._act, timeout_s=timeout_s, beat_s=beat_s)

    @property
    def path(self) -> str:
        return os.path.join(self.directory, instances.CONTROL)

    async def tell(self, data: bytes) -> bytes:
        """Send bytes and return what comes back until the connection ends."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(data)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return answer

    async def ask(self, request: ControlRequest) -> ControlReply:
        return read_control_reply(await self.tell(control_line(request)))

    async def _report(self, request: GiveReport) -> Report:
        self.asked.append(request)
        if self.fault is not None:
            raise self.fault
        return Report(at=1.0, instance=INSTANCE)

    def _act(self, action: ControlAction) -> ControlAnswer:
        if self.fault is not None:
            raise self.fault
        self.orders.append(action)
        return ActionDone("so be it")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition by polling."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def play(tmp_path: Path, scene: Scene, *, timeout_s: float = control.TIMEOUT, beat_s: float = control.BEAT) -> Stage:
    """Run a scene against a server that has started."""
    stage = Stage(str(tmp_path), timeout_s, beat_s)

    async def run() -> None:
        await stage.server.start()
        try:
            await scene(stage)
        finally:
            stage.server.close()

    asyncio.run(run())
    return stage


def test_it_is_for_this_user_and_gone_afterwards(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        facts = os.stat(stage.path)
        assert stat.S_ISSOCK(facts.st_mode)
        assert facts.st_mode & 0o777 == 0o600
        assert sorted(os.listdir(tmp_path)) == [instances.CONTROL, instances.FACTS]

    play(tmp_path, scene)
    assert os.listdir(tmp_path) == []


def test_a_report_is_given(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reply = await stage.ask(GiveReport())
        assert isinstance(reply, Reported)
        assert Report.model_validate_json(bytes(reply.report)) == Report(at=1.0, instance=INSTANCE)

    play(tmp_path, scene)


def test_a_report_may_be_asked_for_without_measuring_anything(tmp_path: Path) -> None:
    assert control_line(GiveReport()) == b'{"do":"status"}\n', "as instances of all versions understand it"

    async def scene(stage: Stage) -> None:
        assert isinstance(await stage.ask(GiveReport(measure=False)), Reported)
        assert isinstance(await stage.ask(GiveReport()), Reported)

    assert play(tmp_path, scene).asked == [GiveReport(measure=False), GiveReport(measure=True)]


@pytest.mark.parametrize("order", [StopInstance(), InterruptConversation(ID), KillConversation(ID)])
def test_an_order_is_passed_on_and_answered(tmp_path: Path, order: ControlAction) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.ask(order) == ActionDone("so be it")

    assert play(tmp_path, scene).orders == [order]


def test_a_fault_of_ours_ends_one_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.fault = ZeroDivisionError("secret")
        for request in (GiveReport(), StopInstance()):
            reply = await stage.ask(request)
            assert isinstance(reply, ActionRefused)
            assert "ZeroDivisionError" in reply.text
            assert "secret" not in reply.text
        stage.fault = None
        assert isinstance(await stage.ask(GiveReport()), Reported)

    play(tmp_path, scene)
    assert "a request on the control socket failed" in caplog.text


@pytest.mark.parametrize(
    "data", [b"\n", b"{}\n", b'{"do":"dance"}\n', b'{"do":"kill"}\n', b'{"do":"stop","now":1}\n', b"\xff\n"]
)
def test_what_is_no_request_is_refused(tmp_path: Path, data: bytes) -> None:
    async def scene(stage: Stage) -> None:
        assert isinstance(read_control_reply(await stage.tell(data)), ActionRefused)

    assert play(tmp_path, scene).orders == []


@pytest.mark.parametrize("data", [b"x" * MAX_REQUEST, b" " * MAX_REQUEST + b"\n", b"x" * 300_000])
def test_a_request_without_end_is_refused(tmp_path: Path, data: bytes) -> None:
    async def scene(stage: Stage) -> None:
        reader, writer = await asyncio.open_unix_connection(stage.path)
        writer.write(data)
        reply = read_control_reply(await reader.readline())
        assert isinstance(reply, ActionRefused)
        assert str(MAX_REQUEST) in reply.text
        writer.close()

    play(tmp_path, scene)


def test_only_the_first_line_counts(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.tell(control_line(StopInstance()) * 100)
        assert answer.count(b"\n") == 1

    assert play(tmp_path, scene).orders == [StopInstance()]


def test_a_request_may_come_in_pieces(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reader, writer = await asyncio.open_unix_connection(stage.path)
        for byte in control_line(StopInstance()):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert read_control_reply(await reader.readline()) == ActionDone("so be it")
        writer.close()

    play(tmp_path, scene)


def test_who_says_nothing_is_dropped_in_time(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.tell(b"") == b""
        assert stage.server.connections == set()

    play(tmp_path, scene, timeout_s=0.05)


def test_who_does_not_read_is_dropped_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlServer, "answer", lambda *_: ActionDone("x" * 4_000_000))

    async def scene(stage: Stage) -> None:
        reader, writer = await asyncio.open_unix_connection(stage.path, limit=1)
        writer.write(b"\n")
        await until(lambda: bool(stage.server.connections))
        await until(lambda: not stage.server.connections)
        assert reader is not None
        writer.close()

    play(tmp_path, scene, timeout_s=0.05)


def test_too_many_at_once_are_told_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        open_ones = [await asyncio.open_unix_connection(stage.path) for _ in range(control.MAX_CONNECTIONS)]
        await until(lambda: len(stage.server.connections) == control.MAX_CONNECTIONS)
        reply = read_control_reply(await stage.tell(b""))
        assert isinstance(reply, ActionRefused)
        assert "too many" in reply.text
        for _, writer in open_ones:
            writer.close()
        await until(lambda: not stage.server.connections)
        assert isinstance(await stage.ask(GiveReport()), Reported)

    play(tmp_path, scene)


class OneWatcher:
    """Takes a connection of a watcher, and gives it nothing but one line."""

    def __init__(self) -> None:
        self.asked: list[WatchConversation] = []
        self.connections: list[socket.socket] = []

    def ask(self, request: WatchConversation) -> Callable[[socket.socket], None]:
        self.asked.append(request)
        return self._take

    def close(self) -> None:
        for connection in self.connections:
            connection.close()

    def _take(self, connection: socket.socket) -> None:
        connection.send(b"begun\n")
        self.connections.append(connection)


def test_a_watcher_goes_on_after_its_answer_and_takes_no_place_of_others(tmp_path: Path) -> None:
    watching = OneWatcher()

    async def run() -> None:
        server = ControlServer(str(tmp_path), INSTANCE, _no_report, _nothing, watching=watching)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / instances.CONTROL))
        writer.write(control_line(WatchConversation(ID)))
        assert await reader.readline() == b"begun\n"
        await until(lambda: not server.connections)
        watching.connections[0].send(b"more\n")
        assert await reader.readline() == b"more\n"
        server.close()
        assert await reader.read() == b"", "it ends with the server"
        writer.close()

    asyncio.run(run())
    assert watching.asked == [WatchConversation(ID)]


def test_who_has_conversations_that_cannot_be_watched_says_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reply = await stage.ask(WatchConversation(ID))
        assert isinstance(reply, ActionRefused)
        assert "cannot be watched" in reply.text

    play(tmp_path, scene)


async def _no_report(_: GiveReport) -> Report:
    raise AssertionError("nobody asks for one")


def _nothing(_: ControlAction) -> ControlAnswer:
    raise AssertionError("nobody orders anything")


def test_signs_of_life_are_given_while_it_serves(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        facts = tmp_path / instances.FACTS
        for _ in range(2):
            os.utime(facts, (0, 0))
            await until(lambda: facts.stat().st_mtime > 0)

    play(tmp_path, scene, beat_s=0.001)


def test_an_answer_is_a_sign_of_life(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        os.utime(tmp_path / instances.FACTS, (0, 0))
        await stage.ask(GiveReport())
        assert (tmp_path / instances.FACTS).stat().st_mtime

    play(tmp_path, scene)


def test_an_instance_that_cannot_be_seen_is_served_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        server = Stage(str(tmp_path / "missing")).server
        await server.start()
        server.close()

    asyncio.run(run())
    assert "greenroom status will not find this instance" in caplog.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_no_bytes_make_it_fail(tmp_path: Path, data: bytes) -> None:
    stage = Stage(str(tmp_path))
    assert isinstance(asyncio.run(stage.server.answer(data, os.getpid())), ActionRefused | ActionDone | Reported)


@given(st.sampled_from((InterruptConversation, KillConversation)), st.text())
def test_requests_come_back_as_they_were(kind: type[InterruptConversation | KillConversation], text: str) -> None:
    request = kind(ConversationId(text))
    assert read_control_request(control_line(request)) == request


# Permissions

CHILD = """
import sys
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control.control_messages import GiveReport, control_line
print(control_line(ask([sys.argv[1]], GiveReport(), 10)[sys.argv[1]].reply).decode())
"""


def test_what_it_has_started_itself_may_not_ask(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", CHILD, stage.path, stdout=subprocess.PIPE
        )
        told, _ = await child.communicate()
        reply = read_control_reply(told)
        assert isinstance(reply, ActionRefused)
        assert "started itself" in reply.text

    play(tmp_path, scene)


def test_another_user_may_not_ask() -> None:
    assert "another user" in str(peer.peer_refusal(PeerCredentials(1, os.getuid() + 1)))


def test_who_has_ended_may_not_ask() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert "has ended" in str(peer.peer_refusal(PeerCredentials(child.pid, os.getuid())))


@pytest.mark.parametrize(
    "pid", [os.getpid(), os.getppid(), 1, OUTSIDE], ids=["itself", "its parent", "init", "outside"]
)
def test_this_user_may_ask(pid: int) -> None:
    assert peer.peer_refusal(PeerCredentials(pid, os.getuid())) is None
