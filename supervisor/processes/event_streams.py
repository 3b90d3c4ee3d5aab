"""The supervisor's end of the streams of events: one Unix socket per worker, read together.

All sockets are registered with one selector, and the loop watches the selector's own descriptor. While events come
thick and fast that is left unwatched, and all that has arrived is read once in each `WINDOW`: forty conversations then
cost one wake-up in place of forty.
"""

import asyncio
import logging
import secrets
import selectors
import socket
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.event_stream import TICKET_SIZE, EventFrame, FrameDecoder
from greenroom.protocol.internal.worker.notices import NoticeOrder

log = logging.getLogger(__name__)

WINDOW: Final = 0.004
"""Seconds for which events are left to gather while they come more often than that."""
READ_SIZE: Final = 64 * 1024
"""Bytes that are read of one stream before the others get their turn."""
BACKLOG: Final = 1024
"""Connections that wait to be accepted."""
GREETING: Final = 64
"""Connections that may wait for their tickets; the oldest has to go for one more."""
ACCEPT_PAUSE: Final = 1.0
"""Seconds without accepting after the system has refused a connection."""

OnEvents: TypeAlias = Callable[[WorkerId, TurnId, bytes], None]


class EventStreamsStatistics(msgspec.Struct, frozen=True):
    """Counters since the start."""

    open: int
    """Workers that are connected."""
    reads: int
    """How often the sockets were looked at."""
    frames: int
    """Frames that were handed on."""


class _Stream:
    """One connection, of which the worker is known once its ticket has arrived."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection: socket.socket | None = connection
        """`None` once it has ended; the stream is kept until the end of its worker, whose notices refer to it."""
        self.worker_id: WorkerId | None = None
        self.ticket = b""
        self.wanted = TICKET_SIZE
        """Bytes to read at a time."""
        self.decoder = FrameDecoder()
        self.notices = 0
        """Number of the last notice that was handled."""
        self.held: list[EventFrame] = []
        """Frames that come behind a notice that has not arrived yet."""


class EventStreams:
    """Takes connections and hands on what arrives, in the order of each worker. Must be made on the running loop."""

    def __init__(
        self, path: str, on_events: OnEvents, window: float = WINDOW, *, accept_pause_s: float = ACCEPT_PAUSE
    ) -> None:
        """`on_events` takes a worker, the turn and the batch of events."""
        self._on_events = on_events
        self._window, self._accept_pause_s = window, accept_pause_s
        self._loop = asyncio.get_running_loop()
        self._tickets: dict[bytes, WorkerId] = {}
        self._streams: dict[WorkerId, _Stream] = {}
        self._greeting: dict[_Stream, None] = {}
        self._notices: dict[WorkerId, int] = {}
        """Number of the last notice that was handled of each worker."""
        self._read_at = 0.0
        """When the sockets were read last, on the loop's clock."""
        self._gathering: asyncio.TimerHandle | None = None
        self._closed = False
        self._accepts = True
        self._reads = self._frames = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._watch()

    def admit(self, worker_id: WorkerId) -> bytes:
        """Return the ticket with which a worker may connect, once."""
        ticket = secrets.token_bytes(TICKET_SIZE)
        self._tickets[ticket] = worker_id
        return ticket

    def before_notice(self, worker_id: WorkerId, order: NoticeOrder) -> None:
        """Hand on the events of a worker that come before a notice."""
        frames = order.frames_before
        stream = self._stream_of(worker_id) if frames else self._streams.get(worker_id)
        if stream is not None:
            self._count_notices(stream, order.number - 1)  # one that could not be read is not waited for
            while stream.decoder.frames < frames and self._read(stream):
                pass
        if frames and (stream is None or stream.decoder.frames < frames):
            log.error("worker %s: a notice came before events that it should follow", worker_id)

    def after_notice(self, worker_id: WorkerId, order: NoticeOrder) -> None:
        """Hand on the events of a worker that waited for a notice, which has been handled."""
        self._notices[worker_id] = max(order.number, self._notices.get(worker_id, 0))
        if (stream := self._streams.get(worker_id)) is not None:
            self._count_notices(stream, order.number)

    def finish(self, worker_id: WorkerId) -> None:
        """Hand on what a worker has left that is gone, and forget it."""
        stream = self._stream_of(worker_id)
        if stream is not None:
            while self._read(stream):
                pass
            self._hang_up(stream)
            held, stream.held = stream.held, []
            self._hand_on(worker_id, held)
            del self._streams[worker_id]
        self._notices.pop(worker_id, None)
        for ticket in [ticket for ticket, owner in self._tickets.items() if owner == worker_id]:
            del self._tickets[ticket]

    def statistics(self) -> EventStreamsStatistics:
        """Return the counters."""
        return EventStreamsStatistics(len(self._streams), self._reads, self._frames)

    def close(self) -> None:
        """Close all connections. Workers may be reported as ended after it."""
        self._closed = True
        self._accepts = False
        self._unwatch()
        for stream in (*self._streams.values(), *self._greeting):
            self._hang_up(stream)
        self._streams.clear()
        self._greeting.clear()
        self._selector.close()
        self._listener.close()

    # When to look

    def _watch(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._selector, self._look)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._selector)
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _look(self) -> None:
        """Read what has arrived; where that comes soon after the last time, let the next events gather."""
        now = self._loop.time()
        is_busy = now - self._read_at < self._window
        self._read_at = now
        self._read_all()
        if is_busy and self._gathering is None and not self._closed:
            self._loop.remove_reader(self._selector)
            self._gathering = self._loop.call_later(self._window, self._look_again)

    def _look_again(self) -> None:
        self._gathering = None
        self._read_at = self._loop.time()
        found = self._read_all()
        if self._closed:
            return
        if found:
            self._gathering = self._loop.call_later(self._window, self._look_again)
        else:
            self._watch()

    # What arrives

    def _read_all(self) -> bool:
        """Read each socket on which something has arrived, once; return whether there was one."""
        ready = self._selector.select(0)
        self._reads += 1
        for key, _ in ready:
            if self._closed:
                break
            if key.data is None:
                self._accept()
            else:
                self._read(key.data)
        return bool(ready)

    def _accept(self) -> None:
        while self._accepts:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of descriptors, for instance, which would be told again at once
                pause = self._accept_pause_s
                log.error("a stream of events cannot be accepted (%s); trying again in %.0f s", error, pause)
                self._accepts = False
                self._selector.unregister(self._listener)
                self._loop.call_later(pause, self._accept_again)
                return
            connection.setblocking(False)
            stream = _Stream(connection)
            if len(self._greeting) == GREETING:
                self._hang_up(next(iter(self._greeting)))
            self._greeting[stream] = None
            self._selector.register(connection, selectors.EVENT_READ, stream)
            self._read(stream)

    def _accept_again(self) -> None:
        if not self._closed:
            self._accepts = True
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _stream_of(self, worker_id: WorkerId) -> _Stream | None:
        """Return the stream of a worker, which has connected before it said anything else."""
        if worker_id not in self._streams:
            self._accept()
            for stream in list(self._greeting):
                self._read(stream)
        return self._streams.get(worker_id)

    def _read(self, stream: _Stream) -> bool:
        """Read once, and return whether there was anything."""
        if stream.connection is None:
            return False
        try:
            data = stream.connection.recv(stream.wanted)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._hang_up(stream)
            return False
        if stream.worker_id is None:
            return self._greet(stream, data)
        try:
            frames = stream.decoder.feed(data)
        except RemoteProtocolError as error:
            log.error("worker %s: %s; its events are read no more", stream.worker_id, error)
            self._hang_up(stream)
            return False
        if frames and (stream.held or frames[-1].notices_before > stream.notices):
            stream.held += frames
            self._count_notices(stream, stream.notices)
        else:
            self._hand_on(stream.worker_id, frames)
        return True

    def _count_notices(self, stream: _Stream, notices: int) -> None:
        """Hand on what comes behind so many notices and before the next."""
        stream.notices = max(stream.notices, notices)
        due = 0
        while due < len(stream.held) and stream.held[due].notices_before <= stream.notices:
            due += 1
        ready, stream.held = stream.held[:due], stream.held[due:]
        if stream.worker_id is not None:
            self._hand_on(stream.worker_id, ready)

    def _hand_on(self, worker_id: WorkerId, frames: list[EventFrame]) -> None:
        self._frames += len(frames)
        for frame in frames:
            self._on_events(worker_id, frame.turn_id, frame.payload)

    def _greet(self, stream: _Stream, data: bytes) -> bool:
        stream.ticket += data
        stream.wanted -= len(data)
        if stream.wanted:
            return True
        worker_id = self._tickets.pop(stream.ticket, None)
        if worker_id is None:
            log.error("a connection to the stream of events came without a ticket; closed")
            self._hang_up(stream)
            return False
        del self._greeting[stream]
        stream.worker_id, stream.wanted = worker_id, READ_SIZE
        stream.notices = self._notices.get(worker_id, 0)
        self._streams[worker_id] = stream
        return True

    def _hang_up(self, stream: _Stream) -> None:
        self._greeting.pop(stream, None)
        if stream.connection is not None:
            self._selector.unregister(stream.connection)
            stream.connection.close()
            stream.connection = None
