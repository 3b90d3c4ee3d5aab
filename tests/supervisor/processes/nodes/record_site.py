"""A host's keeper of session records, one worker elsewhere that sends it some, and a disk that may not answer."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import zmq

from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId, uuid7
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.notices import Ready, ReceivedNotice
from greenroom.protocol.internal.worker.operations import (
    ReceivedOperation,
)
from greenroom.runtime.zmq.zap import ZapAuthenticator
from greenroom.sessions.storage.file import SessionFile, session_path
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

    async def write_first(self, disk: "StuckDisk", channel: RecordsChannel | None = None) -> "asyncio.Task[object]":
        """Begin to write the first lines, and return the task once the disk has been asked."""
        written = channel or self.channel
        task = asyncio.create_task(self.call(lambda: written.write(META % self.id.encode() + LINE % 1, commit=True)))
        assert await asyncio.to_thread(disk.asked.wait, 10)
        return task

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
