"""The supervisor's end of one worker's mailbox, simulated by a test on its own loop."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import TypeVar

import zmq

from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.process import KeyPair, WorkerSpec
from greenroom.protocol.internal.worker.header import message_frames
from greenroom.protocol.internal.worker.notices import ReceivedNotice, WorkerNotice, read_notice
from greenroom.protocol.internal.worker.operations import Operation
from greenroom.runtime.zmq.zmq_stream import ZmqStream
from greenroom.supervisor.processes.event_streams import EventStreams

WORKER = WorkerId("w-test")
N = TypeVar("N", bound=WorkerNotice)


def key_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())


class StoppableStream(ZmqStream):
    """A socket that can be left unread for a while."""

    _is_paused = False

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._look_soon()

    def _take_burst(self) -> None:
        if not self._is_paused:
            super()._take_burst()


class StoppableEventStreams(EventStreams):
    """Streams that can be left unread for a while."""

    _is_paused = False

    def pause(self) -> None:
        self._is_paused = True
        self._unwatch()

    def resume(self) -> None:
        self._is_paused = False
        self._watch()

    def _look_again(self) -> None:
        if not self._is_paused:
            super()._look_again()


class Post:
    """Sends operations and collects notices. To be created on the running loop, and closed."""

    def __init__(self, home: str = "/nonexistent", receive_queue: int = 1000) -> None:
        self.directory = tempfile.mkdtemp(prefix="gr-", dir="/tmp")
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        keys = key_pair()
        socket = self.context.socket(zmq.ROUTER)
        socket.curve_server = True
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.RCVHWM, receive_queue)
        socket.bind(f"ipc://{self.directory}/mailbox")
        self.notices: list[ReceivedNotice] = []
        self.batches: list[tuple[TurnId, bytes]] = []
        """Turns and events, as they came in the stream of events."""
        self.log: list[ReceivedNotice | tuple[TurnId, bytes]] = []
        """Both in their order."""
        self._arrived = asyncio.Event()
        self.port = StoppableStream(socket, self._take)
        self.streams = StoppableEventStreams(f"{self.directory}/events", self._take_events)
        self.spec = WorkerSpec(
            id=WORKER,
            keys=key_pair(),
            supervisor_pid=os.getpid(),
            codex_home=home,
            runtime_directory=self.directory,
            log_level="warning",
            mailbox_address=f"ipc://{self.directory}/mailbox",
            mailbox_key=keys.public,
            events_path=f"{self.directory}/events",
            events_ticket=self.streams.admit(WORKER),
            broker_address=f"ipc://{self.directory}/broker",
            broker_key=keys.public,
        )

    def send(self, operation: Operation, payload: bytes = b"") -> None:
        assert self.port.send([WORKER.encode(), *message_frames(operation, payload)])

    async def until(self, wanted: Callable[[], object], within: float = 10.0) -> None:
        """Wait until the received messages satisfy a condition."""
        async with asyncio.timeout(within):
            while not wanted():
                self._arrived.clear()
                await self._arrived.wait()

    async def notice(self, kind: type[N], within: float = 10.0) -> tuple[N, bytes]:
        """Return the first notice of a kind, waiting if necessary."""
        found: list[tuple[N, bytes]] = []

        def look() -> bool:
            found.extend((one, payload) for one, payload, _ in self.notices if isinstance(one, kind))
            return bool(found)

        await self.until(look, within)
        return found[0]

    def of(self, kind: type[N]) -> list[tuple[N, bytes]]:
        """Return the notices of a kind that have arrived, in order."""
        return [(one, payload) for one, payload, _ in self.notices if isinstance(one, kind)]

    def events(self, turn_id: str | None = None) -> list[bytes]:
        """Return the events that have arrived, of one turn or of all."""
        batches = [payload for one, payload in self.batches if turn_id in (None, one)]
        return [event for batch in batches for event in batch.split(b"\n")]

    def pause(self) -> None:
        """Take nothing, as a supervisor does whose client does not read."""
        self.streams.pause()
        self.port.pause()

    def resume(self) -> None:
        self.streams.resume()
        self.port.resume()

    def close(self) -> None:
        self.streams.close()
        self.port.close()
        self.context.destroy(linger=0)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _take(self, parts: list[zmq.Frame]) -> None:
        assert parts[0].bytes == WORKER.encode()
        notice = read_notice([part.bytes for part in parts[1:]])
        self.streams.before_notice(WORKER, notice.order)
        self.notices.append(notice)
        self.log.append(notice)
        self.streams.after_notice(WORKER, notice.order)
        self._arrived.set()

    def _take_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        assert worker_id == WORKER
        self.batches.append((turn_id, events))
        self.log.append((turn_id, events))
        self._arrived.set()
