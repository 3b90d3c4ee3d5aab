"""The streams of one client: one for each of its posts, and one for what belongs to no request of it.

It is the client's transport (`greenroom.supervisor.frontend.connection.Transport`). Nothing is read here: messages come
by `greenroom.supervisor.frontend.http.session`. A stream outlives the HTTP connection that carries it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from greenroom.protocol.jsonrpc import RequestId
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.http.event_log import EventLog, LoggedEvent
from greenroom.supervisor.frontend.session_state import LogState
from greenroom.supervisor.frontend.stdio import HIGH_WATER, INPUT_STOP, LOW_WATER, StdioStatistics

log = logging.getLogger(__name__)

STANDING: Final = 0
"""The number of the stream for what belongs to no request."""
CHUNK: Final = 64 * 1024
"""Bytes that a reader is handed at a time."""


class StreamLimits(NamedTuple):
    """How much is kept for a client that comes back."""

    stream_bytes: int
    stream_s: float
    streams: int
    """Answered streams."""
    total_bytes: int


NOTHING_KEPT: Final = StreamLimits(0, 0.0, 0, 0)


class StreamReader:
    """The HTTP connection that carries a stream at the moment."""

    def __init__(self, log: EventLog, owner: "ClientStreams") -> None:
        self._log, self._owner = log, owner
        self._news = asyncio.Event()
        self.is_replaced = False
        """Whether another connection has taken over."""
        self.is_overrun = False
        """Whether so much waits for it that it is to be given up."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.is_replaced or self.is_overrun or (self._log.is_finished and not self._log.unread)

    def take(self) -> Sequence[LoggedEvent]:
        """Return what comes next, and count it as read."""
        if self.is_replaced or self.is_overrun:
            return ()
        events = self._log.read(CHUNK)
        if events:
            self._owner.was_read(sum(len(event.data) for event in events))
        return events

    async def wait(self, timeout_s: float) -> bool:
        """Wait for news; return whether there are any."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def wake(self) -> None:
        """Note that there are news."""
        self._news.set()


class ClientStreams:
    """All streams of one client. Must be made on the running loop."""

    def __init__(
        self, limits: StreamLimits, on_close: Callable[[], None] = lambda: None, *, is_shared: bool = False
    ) -> None:
        """`on_close` is called when the connection is closed, by whichever side.

        Where several clients share them (`is_shared`), there is no stream for what belongs to no request, and one that
        does not read holds up no other.
        """
        self._limits, self._on_close, self._is_shared = limits, on_close, is_shared
        self._loop = asyncio.get_running_loop()
        self._on_end: Callable[[], None] = _ignore
        self._on_pressure: Callable[[bool], None] = _ignore
        self.standing = EventLog(STANDING, limits.stream_bytes, limits.stream_s)
        self._logs: dict[int, EventLog] = {STANDING: self.standing}
        self._readers: dict[int, StreamReader] = {}
        self._open: dict[RequestId, EventLog] = {}
        self._waiting_answers: dict[int, int] = {}
        self._next = STANDING + 1
        self._received = self._sent = 0
        self._pressed = self._closed = False
        self._drained = asyncio.Event()
        self._drained.set()

    def open_transport(
        self, _: Callable[[bytes], None], on_end: Callable[[], None], on_pressure: Callable[[bool], None]
    ) -> "ClientStreams":
        """Return itself as the transport of a connection; messages are not passed as bytes."""
        self._on_end, self._on_pressure = on_end, on_pressure
        return self

    @property
    def open_requests(self) -> int:
        """Number of requests that wait for their answers."""
        return len(self._open)

    @property
    def readers(self) -> int:
        """Number of HTTP connections that carry a stream."""
        return len(self._readers)

    def is_open(self, request_id: RequestId) -> bool:
        """Tell whether a request of this id waits for its answer."""
        return request_id in self._open

    def begin(self, request_ids: Sequence[RequestId]) -> EventLog:
        """Open a stream for requests, none of which may be open; it ends with the answer to the last."""
        stream = EventLog(self._next, self._limits.stream_bytes, self._limits.stream_s)
        self._next += 1
        self._logs[stream.number] = stream
        self._waiting_answers[stream.number] = len(request_ids)
        self._open |= dict.fromkeys(request_ids, stream)
        return stream

    def find(self, number: int) -> EventLog | None:
        """Return a stream, if it is kept."""
        return self._logs.get(number)

    def read(self, stream: EventLog, after: int) -> tuple[StreamReader, int]:
        """Let a connection carry a stream from an event on, in place of another; return how many events are lost."""
        if (former := self._readers.get(stream.number)) is not None:
            former.is_replaced = True
            former.wake()
        reader = self._readers[stream.number] = StreamReader(stream, self)
        lost = stream.begin_reading(after)
        self._look()
        return reader, lost

    def let_go(self, stream: EventLog, reader: StreamReader) -> None:
        """Let no connection carry a stream any more, unless another has taken over."""
        if self._readers.get(stream.number) is reader:
            del self._readers[stream.number]
            stream.end_reading(self._loop.time())
            self.tidy()
            self._look()

    def forget(self, stream: EventLog) -> None:
        """Keep an answered stream no longer."""
        if stream.number != STANDING:
            self._logs.pop(stream.number, None)

    def was_received(self, size: int) -> None:
        """Count bytes of the client."""
        self._received += size

    def was_read(self, size: int) -> None:
        """Count bytes that a reader has been handed."""
        self._sent += size
        self._look()

    def tidy(self) -> None:
        """Drop what is beyond the limits on time and size."""
        now = self._loop.time()
        for stream in self._logs.values():
            stream.trim(now)
        answered = [one for one in self._logs.values() if one.is_finished and not one.is_read]
        total = sum(stream.kept for stream in self._logs.values())
        beyond = len(answered) - self._limits.streams
        for place, stream in enumerate(answered):
            is_old = stream.finished_at <= now - self._limits.stream_s
            if is_old or place < beyond or total > self._limits.total_bytes:
                total -= stream.kept
                self.forget(stream)

    @property
    def is_at_rest(self) -> bool:
        """Whether no request is open and no answer is being sent."""
        return not self._open and not self._readers.keys() - {STANDING}

    def state(self) -> tuple[int, list[LogState]]:
        """Return the number of the next stream and what is kept of all, for another process."""
        now = self._loop.time()
        self.tidy()
        return self._next, [stream.state(now) for stream in self._logs.values()]

    def restore(self, next_stream: int, logs: Sequence[LogState]) -> None:
        """Go on from what another process has kept."""
        now, limits = self._loop.time(), self._limits
        for state in logs:
            stream = self._logs.setdefault(state.number, EventLog(state.number, limits.stream_bytes, limits.stream_s))
            stream.restore(state, now)
        self._next = next_stream

    def end(self) -> None:
        """Tell the connection that the client has left."""
        self._on_end()

    # As a transport

    def start(self) -> None:
        """Do nothing: messages come with requests."""

    def write(self, data: bytes) -> None:
        """Queue complete lines that belong to no request."""
        if not self._is_shared:
            self._add(self.standing, data)

    def writer_for(self, request_id: RequestId) -> Write:
        """Return what queues complete lines in the stream of a request."""
        stream = self._open.get(request_id)
        return self.write if stream is None else partial(self._add, stream)

    def answer(self, request_id: RequestId, line: bytes) -> None:
        """Queue the last line of a request; empty where its client wants none any more."""
        stream = self._open.pop(request_id, None)
        if stream is None:
            self.write(line)
            return
        self._add(stream, line, is_vital=True)
        self._waiting_answers[stream.number] -= 1
        if not self._waiting_answers[stream.number]:
            del self._waiting_answers[stream.number]
            self._finish(stream)

    async def drain(self) -> None:
        """Wait until everything is handed to the connections that there are."""
        await self._drained.wait()

    def statistics(self) -> StdioStatistics:
        """Return the counters."""
        return StdioStatistics(self._received, self._sent, self._unread)

    def close(self) -> None:
        """End all streams."""
        if not self._closed:
            self._closed = True
            self._on_close()
        for stream in list(self._logs.values()):
            self._finish(stream)
        self._open.clear()

    @property
    def _unread(self) -> int:
        return sum(self._logs[number].unread for number in self._readers if number in self._logs)

    def _add(self, stream: EventLog, data: bytes, *, is_vital: bool = False) -> None:
        if self._closed:
            return
        now, reader = self._loop.time(), self._readers.get(stream.number)
        if reader is not None and stream.unread > INPUT_STOP:
            reader.is_overrun = True
        for line in _lines(data):
            stream.add(line, now, is_vital=is_vital or is_question(line))
        if reader is not None:
            reader.wake()
            self._look()

    def _finish(self, stream: EventLog) -> None:
        stream.finish(self._loop.time())
        if (reader := self._readers.get(stream.number)) is not None:
            reader.wake()

    def _look(self) -> None:
        if self._is_shared:
            return
        unread = self._unread
        if unread:
            self._drained.clear()
        else:
            self._drained.set()
        pressed = unread > (LOW_WATER if self._pressed else HIGH_WATER)
        if pressed != self._pressed:
            self._pressed = pressed
            self._on_pressure(pressed)


def is_question(line: bytes) -> bool:
    """Tell whether a line of this side is a request, by how requests and no other lines begin."""
    return line.startswith(b'{"jsonrpc":"2.0","id":') and b',"method":' in line[:64]


def _lines(data: bytes) -> Iterator[bytes]:
    """Return the lines, fit for one line of an event: a carriage return in JSON is a blank, and would end the line."""
    for line in data.split(b"\n"):
        if line:
            yield line.replace(b"\r", b" ") if b"\r" in line else line


def _ignore(*_: object) -> None:
    """Do nothing: there is no connection yet."""
