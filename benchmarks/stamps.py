"""Times written into streamed text, so that a reader tells how long each piece was on its way. Free of I/O.

A stamp is `~` and eight hexadecimal digits: units of 10 µs of the monotonic clock, which all processes of a machine
share. The digits wrap around after 11.9 hours.
"""

import re
from typing import Final

TICKS_PER_SECOND: Final = 100_000
_MASK: Final = 0xFFFF_FFFF
_FOUND: Final = re.compile(rb"~([0-9a-f]{8})")


class Stamper:
    """Makes stamps that are all different, so that a reader can tell the copies of one from two."""

    def __init__(self) -> None:
        self._last = 0

    def stamp(self, now: float) -> bytes:
        """Return the stamp of a time in seconds; where it is taken, the next one that is free."""
        self._last = max(int(now * TICKS_PER_SECOND), self._last + 1)
        return b"~%08x" % (self._last & _MASK)


class Arrivals:
    """Gathers the stamps in what is read, each with the delay of its first copy."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self.delays: list[float] = []
        """Seconds, in the order of arrival."""

    def read(self, data: bytes, now: float) -> None:
        """Take note of data that had been read at a time in seconds."""
        fresh = set(_FOUND.findall(data)) - self._known
        if fresh:
            self._known |= fresh
            self.delays.extend(_delay(int(digits, 16), now) for digits in fresh)


def _delay(ticks: int, now: float) -> float:
    """Return the seconds since a stamp; a stamp that was moved into the future counts as 0."""
    passed = (int(now * TICKS_PER_SECOND) - ticks) & _MASK
    return 0.0 if passed > _MASK // 2 else passed / TICKS_PER_SECOND
