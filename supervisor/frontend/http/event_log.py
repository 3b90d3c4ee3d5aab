"""What is said on one stream of server-sent events, kept for a client that comes back. Free of I/O.

Rules that it enforces:

* Events are numbered from 1, without gaps. The id of an event names its stream and its number.
* What a connected client has not read yet is kept. Of the rest only so many bytes are kept, and only for so long:
  the oldest go first. Answers and questions that no reader has been handed are kept regardless, since a call could
  not go on without them.
* A reader that continues after an event is told how many of the following ones are no longer there.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from greenroom.supervisor.frontend.session_state import EventState, LogState

OVERHEAD: Final = 150
"""Bytes that an event takes beside its text."""


class EventId(NamedTuple):
    """The id of an event, as in `Last-Event-ID`."""

    stream: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "EventId | None":
        """Return the id in a header, `None` if it was not made here."""
        stream, dash, number = text.strip().partition("-")
        if not (dash and _is_number(stream) and _is_number(number)):
            return None
        return cls(int(stream), int(number))

    @property
    def text(self) -> str:
        """The id as it is sent."""
        return f"{self.stream}-{self.number}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


class LoggedEvent(NamedTuple):
    """One message on a stream."""

    number: int
    data: bytes
    """The message, a JSON text without line breaks."""
    added: float
    """When it was added, in seconds of the log's clock."""
    is_vital: bool
    """Whether it is an answer or a question."""
    end: int
    """The size of the stream with it, in bytes with `OVERHEAD`."""

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.data) + OVERHEAD


class EventLog:
    """The messages of one stream, and which of them its reader has been handed."""

    def __init__(self, number: int, keep_bytes: int, keep_s: float) -> None:
        self.number: Final = number
        self.is_finished = False
        """Whether nothing will be added any more."""
        self.finished_at = 0.0
        """When that was decided, in seconds of the log's clock."""
        self._keep_bytes, self._keep_s = keep_bytes, keep_s
        self._vital: deque[LoggedEvent] = deque()
        """Those that have outlived their time."""
        self._events: deque[LoggedEvent] = deque()
        self._last = self._total = self._kept = 0
        self._cursor: int | None = None
        self._furthest = 0
        """The newest event that any reader has been handed."""
        self._read = 0

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._last

    @property
    def kept(self) -> int:
        """Bytes that are kept."""
        return self._kept

    @property
    def unread(self) -> int:
        """Bytes that wait for the reader; 0 without one."""
        return 0 if self._cursor is None else self._total - self._read

    @property
    def is_read(self) -> bool:
        """Whether there is a reader."""
        return self._cursor is not None

    def add(self, data: bytes, now: float, *, is_vital: bool = False) -> None:
        """Add a message."""
        self._last += 1
        size = len(data) + OVERHEAD
        self._total += size
        self._kept += size
        self._events.append(LoggedEvent(self._last, data, now, is_vital, self._total))
        self.trim(now)

    def finish(self, now: float) -> None:
        """Let nothing be added any more."""
        if not self.is_finished:
            self.is_finished, self.finished_at = True, now

    def begin_reading(self, after: int) -> int:
        """Let a reader continue after an event; return how many of those that follow are lost."""
        left = [event for event in self if event.number > after]
        self._cursor = after
        self._read = self._total - sum(event.size for event in left)
        return max(self._last - after, 0) - len(left)

    def end_reading(self, now: float) -> None:
        """Let go of the reader."""
        self._cursor = None
        self.trim(now)

    def read(self, limit: int) -> list[LoggedEvent]:
        """Return the next events for the reader, at least one if there is any, up to so many bytes."""
        if self._cursor is None or self._cursor >= self._last:
            return []
        taken: list[LoggedEvent] = []
        for event in self._after(self._cursor):
            if taken and limit < event.size:
                break
            limit -= event.size
            taken.append(event)
        if taken:
            self._cursor = taken[-1].number
            self._furthest = max(self._furthest, self._cursor)
            self._read += sum(event.size for event in taken)
        return taken

    def trim(self, now: float) -> None:
        """Drop what is beyond the limits."""
        while self._events and self._is_beyond(self._events[0], now):
            event = self._events.popleft()
            if event.is_vital:
                self._vital.append(event)
            else:
                self._kept -= event.size
        while self._vital and self._vital[0].number <= self._furthest and self._is_old(self._vital[0], now):
            self._kept -= self._vital.popleft().size

    def state(self, now: float) -> LogState:
        """Return what is kept, for another process."""
        events = [EventState(event.number, event.data, now - event.added, event.is_vital) for event in self]
        age = now - self.finished_at if self.is_finished else None
        return LogState(self.number, self._last, self._furthest, age, events)

    def restore(self, state: LogState, now: float) -> None:
        """Go on from what another process has kept."""
        for event in state.events:
            size = len(event.data) + OVERHEAD
            self._total += size
            self._kept += size
            self._events.append(LoggedEvent(event.number, event.data, now - event.age, event.is_vital, self._total))
        self._last, self._furthest = state.last, state.furthest
        if state.finished_age is not None:
            self.finish(now - state.finished_age)

    def __iter__(self) -> Iterator[LoggedEvent]:
        """Return what is kept, oldest first."""
        return chain(self._vital, self._events)

    def _after(self, number: int) -> Iterator[LoggedEvent]:
        """Return what follows an event; from the events' end, since a reader is usually close to it."""
        behind = self._last - number
        if behind < len(self._events):
            start = len(self._events) - behind
            return (self._events[index] for index in range(start, len(self._events)))
        return (event for event in self if event.number > number)

    def _is_beyond(self, event: LoggedEvent, now: float) -> bool:
        if self._cursor is not None and event.number > self._cursor:
            return False
        return self._is_old(event, now) or (self._kept > self._keep_bytes and event.number < self._last)

    def _is_old(self, event: LoggedEvent, now: float) -> bool:
        return event.added < now - self._keep_s
