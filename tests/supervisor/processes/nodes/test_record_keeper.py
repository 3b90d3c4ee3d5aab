"""Session records of a worker elsewhere: in order, once, on the disk before they are confirmed, and of its own only."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import zmq

from greenroom.protocol.errors import SessionBusyError, SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId, uuid7
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.records import RecordsFailed, RecordsReply, RecordsWritten, WriteRecords
from greenroom.protocol.internal.worker.notices import CommandsEnded, Opened, Ready, ReceivedNotice
from greenroom.protocol.internal.worker.operations import (
    Close,
    Interrupt,
    Operation,
    ReceivedOperation,
    TurnSandbox,
    TurnSettings,
)
from greenroom.protocol.internal.worker.parts import LARGEST_FRAME
from greenroom.runtime.zmq.zap import ZapAuthenticator
from greenroom.sessions.file import SessionFile, session_path
from greenroom.sessions.lock import WriterLock
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.authority import AuthorityResolver
from greenroom.supervisor.processes.nodes.record_keeper import RecordKeeper, RecordOpening
from greenroom.supervisor.processes.nodes.wish import Opening
from greenroom.supervisor.processes.worker_router import WorkerRouter
from greenroom.workers.mailbox import Mailbox
from greenroom.workers.records_channel import RecordsChannel
from tests.supervisor.processes.nodes.test_membership import spec as plain_spec
from tests.support.nodes import free_ports

WORKER = WorkerId("w-1")
STARTED = 1_767_268_800.0
LINE = b'{"timestamp":"2026-01-01T00:00:00.000Z","type":"response_item","payload":{"type":"message","n":%d}}\n'
META = b'{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"%b","history_mode":"legacy"}}\n'


class Worker:
    """A worker's mailbox on a loop of its own, where a request about records blocks."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.received: list[ReceivedOperation] = []
        self.lost = threading.Event()
        self.mailbox = asyncio.run_coroutine_threadsafe(self._made(context, spec), self._loop).result(20)

    async def _made(self, context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec) -> Mailbox:
        mailbox = Mailbox(context, spec, self.received.append, self.lost.set)
        mailbox.notify(Ready(worker_id=spec.id, pid=1))
        return mailbox

    async def call(self, work: Callable[[], object]) -> object:
        async def done() -> object:
            return work()

        async with asyncio.timeout(20):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(done(), self._loop))

    async def close(self) -> None:
        await self.call(lambda: self.mailbox.close(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Site:
    """A keeper at the host's mailbox, and one worker's channel to it."""

    def __init__(self, home: Path, context: "zmq.Context[zmq.Socket[bytes]]", lifeline: int) -> None:
        self.home = home
        self.id = ConversationId(uuid7())
        self.path = Path(session_path(str(home), self.id, STARTED))
        self.authenticator = ZapAuthenticator(context)
        keys, own = key_pair(), key_pair()
        self.notices: list[ReceivedNotice] = []
        self.events: list[bytes] = []
        self.router = WorkerRouter(
            context,
            self.authenticator,
            keys,
            f"inproc://{self.id}",
            self._notified,
            lambda _, __, batch: self.events.append(batch),
        )
        self.ready = asyncio.Event()
        self.breaches: list[str] = []
        self.keeper = RecordKeeper(
            self.router.reply,
            self.router.catch_up,
            lambda _, why: self.breaches.append(why),
            AuthorityResolver(str(home), ()),
            str(home),
        )
        self._arrived = 0
        self.address = f"tcp://127.0.0.1:{free_ports(1)}"
        self.router.listen_for_nodes(self.address, lambda _: None, self._receive)
        self.authenticator.admit(own.public, WORKER)
        at_host = {"mailbox_address": self.address, "mailbox_key": keys.public}
        spec = msgspec.structs.replace(plain_spec(WORKER), keys=own, **at_host)
        self.worker = Worker(context, spec)
        self.call = self.worker.call
        self._lifeline = lifeline
        self.channel = self.begin(1)

    def _notified(self, _: WorkerId, received: ReceivedNotice) -> None:
        self.notices.append(received)
        self.ready.set()

    def _receive(self, name: WorkerId, frames: list[bytes]) -> None:
        self._arrived += 1
        self.keeper.receive(name, frames)

    def begin(self, incarnation: int, on_lost: Callable[[], None] = lambda: None) -> RecordsChannel:
        channel = RecordsChannel(self.worker.mailbox, self._lifeline, on_lost)
        channel.begin(self.id, Incarnation(incarnation))
        return channel

    def expect(
        self,
        incarnation: int = 1,
        resume: Literal["no", "if-saved", "must"] = "no",
        *,
        overrides: bytes = b"{}",
        ephemeral: bool = False,
    ) -> None:
        opening = Opening(resume, None, "/host/x" if resume == "no" else None, overrides, ephemeral)
        self.keeper.expect(WORKER, RecordOpening(self.id, Incarnation(incarnation), opening, STARTED))

    def lines(self) -> list[Any]:
        """Return what the file has."""
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def numbers(self) -> list[int]:
        """Return those of the items in the file."""
        meta, *items = self.lines()
        assert (meta["type"], meta["payload"]["id"]) == ("session_meta", self.id)
        return [item["payload"]["n"] for item in items]

    async def let_pass(self, entries: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(10):
            while self._arrived < entries:
                await asyncio.sleep(0.001)

    async def release(self) -> None:
        released = asyncio.Event()
        self.keeper.release(WORKER, released.set)
        async with asyncio.timeout(10):
            await released.wait()


@pytest.fixture
def lifeline() -> Iterator[int]:
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


@asynccontextmanager
async def site_at(home: Path, lifeline: int) -> AsyncIterator[Site]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    built = Site(home, context, lifeline)
    try:
        async with asyncio.timeout(10):
            await built.ready.wait()
        yield built
    finally:
        await built.keeper.close(10.0)
        built.router.close()
        await built.worker.close()
        built.authenticator.close()
        context.destroy(linger=0)


class StuckDisk:
    """A disk that does not answer until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()
        commit = SessionFile.commit

        def stuck(file: SessionFile) -> None:
            self.asked.set()
            assert self.answers.wait(20)
            commit(file)

        monkeypatch.setattr(SessionFile, "commit", stuck)


def test_lines_are_on_the_disk_when_a_commit_returns(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode(), commit=False))
            await site.call(lambda: site.channel.write(LINE % 1 + LINE % 2, commit=True))
            assert site.numbers() == [1, 2]
            assert os.stat(site.path).st_mode & 0o777 == 0o600
            with pytest.raises(SessionBusyError):
                WriterLock(str(tmp_path), site.id)
            await site.call(site.channel.close)
            WriterLock(str(tmp_path), site.id).release()

    asyncio.run(scene())


def test_only_what_is_waited_for_or_has_failed_is_answered(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            replies: list[RecordsReply] = []
            send = site.keeper._reply

            def noted(name: WorkerId, reply: RecordsReply, lines: bytes = b"") -> None:
                replies.append(reply)
                send(name, reply, lines)

            monkeypatch.setattr(site.keeper, "_reply", noted)
            (tmp_path / "sessions").write_text("in the way")
            await site.call(lambda: site.channel.write(META % site.id.encode(), commit=False))
            async with asyncio.timeout(10):
                while not replies:
                    await asyncio.sleep(0.001)
            (tmp_path / "sessions").unlink()
            with suppress(NotADirectoryError):  # where the reply has come by now
                await site.call(lambda: site.channel.write(LINE % 1, commit=False))
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            assert [(type(reply), reply.number) for reply in replies] == [(RecordsFailed, 1), (RecordsWritten, 3)]

    asyncio.run(scene())


def test_a_worker_that_was_given_up_writes_nothing(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            await site.release()
            WriterLock(str(tmp_path), site.id).release()
            before = site.path.read_bytes()
            with pytest.raises(SessionBusyError):
                await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            site.expect(incarnation=2, resume="must")
            with pytest.raises(SessionBusyError):
                await site.call(lambda: site.channel.write(LINE % 3, commit=True))
            assert site.path.read_bytes() == before

    asyncio.run(scene())


def test_a_node_makes_no_other_conversation_the_beginning_of_its_own(tmp_path: Path, lifeline: int) -> None:
    """Its next incarnation would be sent that one."""

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            other = ConversationId(uuid7())
            base = b'"history_mode":"paginated","history_base":{"thread_id":"%b","end_ordinal_exclusive":9}'
            meta = (META % site.id.encode()).replace(b'"history_mode":"legacy"', base % other.encode())
            await site.call(lambda: site.channel.write(meta + LINE % 1, commit=True))
            assert site.numbers() == [1]
            assert other.encode() not in site.path.read_bytes(), "the host writes the first line"

    asyncio.run(scene())


@pytest.mark.parametrize("resume", ["no", "must"])
def test_the_settings_of_a_turn_are_those_that_its_worker_was_sent(
    tmp_path: Path, lifeline: int, resume: Literal["no", "must"]
) -> None:
    wanted = TurnSettings(
        cwd="/host/y",
        approval_policy="on-failure",
        sandbox_policy=TurnSandbox(type="read-only"),
        model="m-2",
    )
    told = (LINE % 1).replace(b"response_item", b"turn_context").replace(b'"type":"message"', b'"turn_id":"t"')

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            call = b'{"sandbox_mode":"workspace-write","model":"m-1"}'
            site.expect(overrides=call)
            channel = site.channel
            await site.call(lambda: channel.write(META % site.id.encode() + told, commit=True))
            if resume == "must":
                await site.release()
                (tmp_path / "config.toml").write_text('sandbox_mode = "danger-full-access"\n')
                site.expect(incarnation=2, resume="must")
                channel = site.begin(2)
                await site.call(channel.resume)
            for turn in (None, wanted, None):
                site.keeper.begin_turn(WORKER, turn)
                await site.call(lambda: channel.write(told, commit=True))
            found = [line["payload"] for line in site.lines() if line["type"] == "turn_context"]
            modes = [(one["sandbox_policy"]["type"], one["model"], one["cwd"]) for one in found]
            own = ("workspace-write", "m-1", "/host/x")
            assert modes == [own, own, ("read-only", "m-2", "/host/y"), own]

    asyncio.run(scene())


def test_a_worker_is_given_up_that_sends_what_no_worker_does(tmp_path: Path, lifeline: int) -> None:
    back = b'{"type":"event_msg","payload":{"type":"thread_rolled_back","num_turns":9}}\n'

    async def refused(site: Site, work: Callable[[], object], why: str) -> None:
        with pytest.raises(SessionFileError, match=why):
            await site.call(work)
        assert site.breaches.pop(), why
        assert site.breaches == []

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            write = site.channel.write
            site.expect(ephemeral=True)
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "is not saved")
            site.expect(resume="if-saved")
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "it was not opened")
            site.expect(overrides=b'{"profile":"none"}')
            await refused(site, lambda: write(META % site.id.encode() + LINE % 1, commit=True), "not known on the host")
            assert not site.path.exists()

            site.expect()
            await refused(site, site.channel.resume, "without a session is resumed")
            with pytest.raises(SessionBusyError):
                await site.call(lambda: write(META % site.id.encode() + LINE % 1, commit=True))
            site.expect()
            await site.call(lambda: write(META % site.id.encode() + LINE % 1, commit=True))
            await refused(site, lambda: write(LINE % 2 + back, commit=True), "thread_rolled_back")
            assert site.numbers() == [1], "what was answered stays"
            await site.release()
            site.expect(incarnation=2, resume="must")
            channel = site.begin(2)
            await site.call(channel.resume)
            await refused(site, channel.resume, "was resumed already")
            await site.release()
            site.expect(incarnation=3, resume="must")
            channel = site.begin(3)
            await site.call(channel.resume)
            await site.call(channel.close)
            late = META % site.id.encode() + LINE % 3
            await refused(site, lambda: channel.write(late, commit=True), "that was closed")
            assert len(list((tmp_path / "sessions").rglob("*.jsonl"))) == 1

    asyncio.run(scene())


def test_no_announcement_counts_of_what_the_host_has_not_resolved(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            notice = Opened(
                conversation_id=site.id, incarnation=Incarnation(1), model="m", cwd="/etc", session_path="/etc/passwd"
            )
            assert site.keeper.announced(WORKER, notice) is None
            site.expect(resume="must")
            assert site.keeper.announced(WORKER, notice) is None, "it has not asked for what was said before"
            assert len(site.breaches) == 2
            site.expect(ephemeral=True)
            told = site.keeper.announced(WORKER, notice)
            assert told is not None
            assert (told[0].cwd, told[0].session_path) == ("/host/x", "")
            site.expect()
            told = site.keeper.announced(WORKER, notice)
            assert told is not None
            assert told[0].session_path == str(site.path)

    asyncio.run(scene())


def test_the_next_incarnation_gets_all_that_was_written(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=False))
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            await site.release()
            site.expect(incarnation=2, resume="must")
            second = site.begin(2)
            found = await site.call(second.resume)
            assert isinstance(found, tuple)
            reply, lines = found
            assert reply.path == os.path.realpath(site.path)
            assert lines == site.path.read_bytes()
            await site.call(lambda: second.write(LINE % 3, commit=True))
            assert site.numbers() == [1, 2, 3]

    asyncio.run(scene())


def test_a_conversation_that_must_exist_and_does_not_is_unknown(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect(resume="must")
            with pytest.raises(SessionUnknownError):
                await site.call(site.channel.resume)
            site.expect(resume="if-saved")
            found = await site.call(site.channel.resume)
            assert isinstance(found, tuple)
            assert found[0].path == ""

    asyncio.run(scene())


def test_a_disk_that_refuses_is_told_and_the_lines_are_kept(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            (tmp_path / "sessions").write_text("in the way")
            with pytest.raises(OSError, match="Not a directory"):
                await site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            (tmp_path / "sessions").unlink()
            await site.call(lambda: site.channel.write(LINE % 2, commit=True))
            assert site.numbers() == [1, 2]

    asyncio.run(scene())


def test_what_waits_is_written_before_the_keeper_closes(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            first = asyncio.create_task(
                site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            )
            await asyncio.to_thread(disk.asked.wait, 10)
            closing = asyncio.create_task(site.keeper.close(10.0))
            await asyncio.sleep(0)
            assert not closing.done(), "it waits for the disk, and the loop goes on"
            disk.answers.set()
            await closing
            await first
            assert site.numbers() == [1]
            WriterLock(str(tmp_path), site.id).release()

    asyncio.run(scene())


def test_a_disk_that_does_not_answer_neither_holds_up_the_end_nor_is_said_to_have_answered(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            try:
                writing = asyncio.create_task(
                    site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
                )
                await asyncio.to_thread(disk.asked.wait, 10)
                began = time.monotonic()
                await site.keeper.close(0.2)
                assert 0.2 <= time.monotonic() - began < 5.0
                with pytest.raises(OSError, match=r"before its disk had taken all records|has ended"):
                    await writing
            finally:
                disk.answers.set()

    asyncio.run(scene())


def test_a_connection_that_ends_is_noticed_by_a_worker_that_asks_for_nothing(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.router.leave_nodes(site.address)
            assert await asyncio.to_thread(site.worker.lost.wait, 10)

    asyncio.run(scene())


def test_a_connection_that_ends_is_noticed_at_once_by_what_waits(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            try:
                lost = threading.Event()
                channel = site.begin(1, lost.set)
                began = time.monotonic()
                writing = asyncio.create_task(
                    site.call(lambda: channel.write(META % site.id.encode() + LINE % 1, commit=True))
                )
                await asyncio.to_thread(disk.asked.wait, 10)
                site.router.leave_nodes(site.address)
                with pytest.raises(OSError, match="has ended"):
                    await writing
                assert lost.is_set()
                assert time.monotonic() - began < 10.0, "not only after the time that a disk has"
            finally:
                disk.answers.set()

    asyncio.run(scene())


def test_a_reply_counts_that_has_come_with_the_end_of_the_connection(tmp_path: Path, lifeline: int) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            channel = site.channel

            def write() -> None:
                request = WriteRecords(number=channel._next(), commit=True, **channel._address)
                channel._send(request, META % site.id.encode())
                assert channel._end.poll(10_000), "the worker does not look before"
                channel._wait()
                with pytest.raises(OSError, match="cannot be reached"):
                    channel.write(LINE % 1, commit=False)

            writing = asyncio.create_task(site.call(write))
            await site.let_pass(1)
            await site.keeper.close(10.0)
            site.router.close()
            await writing
            assert site.path.exists()

    asyncio.run(scene())


def test_what_the_worker_is_told_while_it_waits_for_the_disk_is_handed_on(
    tmp_path: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            disk = StuckDisk(monkeypatch)
            writing = asyncio.create_task(
                site.call(lambda: site.channel.write(META % site.id.encode() + LINE % 1, commit=True))
            )
            await asyncio.to_thread(disk.asked.wait, 10)
            told: list[Operation] = [
                Interrupt(conversation_id=site.id, incarnation=Incarnation(1), turn_id=TurnId("t")),
                Close(),
            ]
            for operation in told:
                assert site.router.send(WORKER, operation)
            disk.answers.set()
            await writing
            async with asyncio.timeout(10):
                while len(site.worker.received) < 2:
                    await asyncio.sleep(0.001)
            assert [received.operation for received in site.worker.received] == told

    asyncio.run(scene())


def test_messages_of_any_size_pass_the_port_that_takes_small_frames_alone(tmp_path: Path, lifeline: int) -> None:
    large = b"x" * (3 * LARGEST_FRAME + 7)

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()
            line = (LINE % 1).replace(b'"n"', b'"text":"%b","n"' % large)
            await site.call(lambda: site.channel.write(META % site.id.encode() + line, commit=True))
            assert site.lines()[1]["payload"]["text"].encode() == large

            def tell() -> None:
                site.worker.mailbox.begin_turn(TurnId("t"))
                site.worker.mailbox.emit(b'{"type":"%b"}' % large)
                site.worker.mailbox.notify(CommandsEnded(conversation_id=site.id, incarnation=Incarnation(1)), large)

            await site.call(tell)
            async with asyncio.timeout(10):
                while not isinstance(site.notices[-1].notice, CommandsEnded):
                    await asyncio.sleep(0.001)
            assert site.notices[-1].payload == large
            assert b"".join(site.events) == b'{"type":"%b"}' % large

    asyncio.run(scene())


def test_lines_that_the_connection_does_not_take_at_once_follow_in_their_order(tmp_path: Path, lifeline: int) -> None:
    lines = [(LINE % number).replace(b'"n"', b'"text":"%b","n"' % (b"x" * 200_000)) for number in range(100)]

    async def scene() -> None:
        async with site_at(tmp_path, lifeline) as site:
            site.expect()

            def write() -> None:
                site.channel.write(META % site.id.encode(), commit=False)
                for line in lines:
                    site.channel.write(line, commit=False)
                site.channel.write(b"", commit=True)

            await site.call(write)
            assert site.numbers() == list(range(100))

    asyncio.run(scene())
