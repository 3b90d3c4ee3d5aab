"""The old host's side of a hand-over, against a played new one: it can be tried again, and clients move at rest."""

import asyncio
import os
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from greenroom.protocol.jsonrpc import Request
from greenroom.runtime.service_manager import ServiceManager
from greenroom.supervisor.control.control_messages import HAND_OVER_VERSION, ActionRefused, HandOver
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.connection import MovedConnection
from greenroom.supervisor.frontend.mcp.front_state import FrontState
from greenroom.supervisor.startup.replacement import handover as handover_module
from greenroom.supervisor.startup.replacement.handover import HostHandover
from greenroom.supervisor.startup.replacement.holdings import Holdings
from greenroom.supervisor.startup.replacement.messages import Take, replacement_line
from tests.support.loop import on_loop, until

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}\n'
STREAM = b'{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen"}\n'
ASKS = HandOver(HAND_OVER_VERSION, "9.9")


class Shared:
    """The conversations of the old host: none."""

    def with_process(self) -> list[str]:
        return []

    def without_process(self) -> list[object]:
        return []

    def share(self, claims: object) -> None:
        pass

    def park_idle(self) -> None:
        pass


class OldHost:
    """What the hand-over needs of a host and its server."""

    def __init__(self, files: ExitStack) -> None:
        shared = Shared()
        self.host = SimpleNamespace(
            conversations=SimpleNamespace(shared=shared, have_no_turns=True),
            tree=SimpleNamespace(directory="/nowhere", leave_nodes=lambda: None),
        )
        self.connections: list[Any] = []
        self.is_stopping = self.was_replaced = False
        descriptor = os.open(os.devnull, os.O_RDONLY)
        files.callback(os.close, descriptor)
        listener = SimpleNamespace(descriptor=descriptor, path="/nowhere", is_at_rest=True, release=lambda: None)
        lock = SimpleNamespace(descriptor=descriptor, close=lambda: None)
        self.holdings = holdings = Holdings(ServiceManager())
        holdings.lock, holdings.unix = cast("Any", lock), cast("Any", listener)
        self.handover = HostHandover(holdings, cast("Any", self), cast("Any", None))

    def replaced(self) -> None:
        self.was_replaced = True

    def stop(self) -> None:
        self.is_stopping = True

    def asked(self, files: ExitStack) -> socket.socket:
        """Ask as a new host, and return its end of the connection, at which the offer has been read."""
        near, far = socket.socketpair()
        files.enter_context(far)
        far.settimeout(5)
        give = self.handover.asked(ASKS, os.getpid())
        assert not isinstance(give, ActionRefused), give
        give(near)
        data, descriptors, _, _ = socket.recv_fds(far, 65536, 4)
        for descriptor in descriptors:
            os.close(descriptor)
        assert b'"type":"offer"' in data
        return far


class Client:
    """A client at the Unix socket of the old host, which is at rest or not."""

    is_local = True
    pid = 1

    def __init__(self, descriptor: int) -> None:
        self.channel = ClientChannel(lambda _: None)
        self.is_at_rest = False
        self.was_forgotten = False
        self._descriptor = descriptor

    def move(self) -> MovedConnection | None:
        return MovedConnection(FrontState(), self._descriptor) if self.is_at_rest else None

    def forget(self) -> None:
        self.was_forgotten = True


@on_loop
async def test_a_new_host_that_leaves_while_it_takes_over_keeps_no_other_from_it() -> None:
    with ExitStack() as files:
        old = OldHost(files)
        for _ in range(3):
            far = old.asked(files)
            far.sendall(replacement_line(Take()))
            far.close()
            await until(lambda: old.handover._link is None)
        assert not old.was_replaced
        far = old.asked(files)
        far.sendall(replacement_line(Take()))
        await until(lambda: old.was_replaced)
        assert b'"type":"taken"' in far.recv(65536)
        old.handover.close()


@on_loop
async def test_an_attempt_that_broke_off_does_not_act_for_the_next_one() -> None:
    """A slow step of the first attempt ends when a second process has asked, which has not said that it takes over."""
    with ExitStack() as files:
        old = OldHost(files)
        slow = asyncio.Event()

        async def take_passed_on(_: str) -> str:
            await slow.wait()
            return ""

        http = SimpleNamespace(take_passed_on=take_passed_on, descriptor=0, address=SimpleNamespace(text="x"))
        old.holdings.http = cast("Any", http)
        first = old.asked(files)
        first.sendall(replacement_line(Take()))
        await until(lambda: old.handover._giving_way is not None)
        first.close()
        await until(lambda: old.handover._link is None)
        old.asked(files)
        slow.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not old.was_replaced
        assert old.handover._link is not None, "the second one may still take over"
        old.handover.close()


@pytest.mark.parametrize("listens", [False, True])
def test_a_client_that_is_never_at_rest_for_long_moves_after_an_answer(
    monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    """Without looking for it again, and also where a request that only listens stays open."""
    monkeypatch.setattr(handover_module, "LOOK", 3600.0)

    async def scene() -> None:
        with ExitStack() as files:
            old = OldHost(files)
            client = Client(os.open(os.devnull, os.O_RDONLY))
            files.callback(os.close, client._descriptor)
            old.connections.append(client)
            far = old.asked(files)
            far.sendall(replacement_line(Take()))
            await until(lambda: old.was_replaced)
            far.recv(65536)
            finishing = asyncio.get_running_loop().create_task(old.handover.finish())
            await until(lambda: client.channel.on_rest is not None)
            asked = CALL + (STREAM if listens else b"")
            call, *_ = [one for one in client.channel.peer.receive(asked) if isinstance(one, Request)]
            client.is_at_rest = True
            client.channel.respond(call, b"{}")
            await until(lambda: client.was_forgotten)
            data, descriptors, _, _ = socket.recv_fds(far, 65536, 4)
            assert (b'"type":"client"' in data, len(descriptors)) == (True, 1)
            os.close(descriptors[0])
            finishing.cancel()
            old.handover.close()

    asyncio.run(scene())


@on_loop
async def test_a_client_that_cannot_be_moved_is_let_go_after_ten_seconds_of_rest_and_no_earlier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it asks meanwhile is served, and the seconds begin anew."""
    with ExitStack() as files:
        old, now = OldHost(files), 100.0
        ended: list[float] = []
        client = Client(-1)
        monkeypatch.setattr(client, "disconnect", lambda: ended.append(now), raising=False)
        old.handover._loop = cast("Any", SimpleNamespace(time=lambda: now))
        for now, is_at_rest in ((100.0, True), (109.0, True), (109.5, False), (110.0, True), (119.9, True)):  # noqa: B007
            client.is_at_rest = is_at_rest
            old.handover._part_with(cast("Any", client))
            assert not ended
        now = 120.0
        old.handover._part_with(cast("Any", client))
        assert ended == [120.0]


def of_another_version(_: OldHost) -> HandOver:
    return HandOver(HAND_OVER_VERSION + 1, "9.9")


def of_an_unknown_program(_: OldHost) -> HandOver:
    return HandOver(HAND_OVER_VERSION - 1, "")


def while_it_ends(old: OldHost) -> HandOver:
    old.is_stopping = True
    return ASKS


def before_it_has_its_lock(old: OldHost) -> HandOver:
    old.holdings.lock = None
    return ASKS


def before_it_listens(old: OldHost) -> HandOver:
    old.holdings.unix = None
    return ASKS


def while_one_before_it_is_left(old: OldHost) -> HandOver:
    old.holdings.replaces = 4711
    return ASKS


def in_another_unit(old: OldHost) -> HandOver:
    old.holdings.manager = ServiceManager("/nowhere")
    return ASKS


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (of_another_version, rf"\(greenroom 9\.9\) takes over by version {HAND_OVER_VERSION + 1}; stop it instead"),
        (of_an_unknown_program, "of unknown version"),
        (while_it_ends, "shutting down"),
        (before_it_has_its_lock, "just starting"),
        (before_it_listens, "just starting"),
        (while_one_before_it_is_left, "process 4711, has turns or clients left.*stop --instance 4711"),
        (in_another_unit, "systemctl --user reload"),
    ],
)
@on_loop
async def test_who_cannot_take_over_is_told_why(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[OldHost], HandOver], reason: str
) -> None:
    monkeypatch.setattr(handover_module, "is_same_service", lambda *_: False)
    with ExitStack() as files:
        old = OldHost(files)
        refusal = old.handover.asked(prepare(old), os.getpid())
        assert isinstance(refusal, ActionRefused)
        assert re.search(reason, refusal.text)
        assert not old.was_replaced


@on_loop
async def test_one_process_at_a_time_takes_over_and_one_in_all() -> None:
    with ExitStack() as files:
        old = OldHost(files)
        far = old.asked(files)
        refusal = old.handover.asked(ASKS, os.getpid())
        assert isinstance(refusal, ActionRefused)
        assert f"process {os.getpid()} is replacing it at the moment" in refusal.text
        far.sendall(replacement_line(Take()))
        await until(lambda: old.was_replaced)
        refusal = old.handover.asked(ASKS, os.getpid())
        assert isinstance(refusal, ActionRefused)
        assert f"process {os.getpid()} has replaced it already" in refusal.text
        old.handover.close()
