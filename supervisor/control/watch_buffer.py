"""The lines that wait for a watcher who does not read as fast as they come. Free of I/O.

At most `LONGEST` bytes wait. Where a line would be more, all that wait are dropped and the line too if it alone is too
long; a mark says that something is missing. Nobody waits for the watcher.
"""

from collections import deque
from typing import Final

from greenroom.supervisor.control.watch_messages import LONGEST, WatchGap, watch_line

GAP: Final = watch_line(WatchGap())


class WatchBuffer:
    """Lines of one watcher, in their order."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._begun = b""
        """The rest of a line whose beginning was sent."""

    def __bool__(self) -> bool:
        return bool(self._begun or self._lines)

    @property
    def size(self) -> int:
        """Bytes that wait, without the rest of a line that was begun."""
        return self._size

    def put(self, line: bytes) -> None:
        """Add a line, or a mark in place of it and of those that wait."""
        if self._size + len(line) > self._longest:
            self._lines.clear()
            self._size = 0
            self._add(GAP)
            if len(GAP) + len(line) > self._longest:
                return
        self._add(line)

    def next(self) -> bytes:
        """Return what is to be sent next; empty where nothing waits."""
        if not self._begun and self._lines:
            self._begun = self._lines.popleft()
            self._size -= len(self._begun)
        return self._begun

    def sent(self, count: int) -> None:
        """Note that so many bytes of `next` were sent."""
        self._begun = self._begun[count:]

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
