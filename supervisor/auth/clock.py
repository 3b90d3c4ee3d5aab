"""The broker's one clock: wall time for expiry, corrected by what servers say (K13), and monotonic for intervals."""

import logging
import time
from email.utils import parsedate_to_datetime
from typing import Final

log = logging.getLogger(__name__)

TOLERANCE: Final = 60.0
"""Seconds that our clock and a server's `Date` may lie apart before the server's is believed."""


class Clock:
    """Tells the time. Tests put another one in its place."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def wall(self) -> float:
        """Return the seconds since the epoch, as the issuer counts them."""
        return self._system_time() - self._ahead

    @property
    def offset(self) -> float:
        """Seconds that the system's own clock is ahead of the issuer's."""
        return self._ahead

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        return time.monotonic()

    def observe(self, date: str | None) -> None:
        """Learn from the `Date` header of an answer that has just arrived."""
        if date is None:
            return
        try:
            ahead = self._system_time() - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        if abs(ahead - self._ahead) > TOLERANCE:
            log.warning("the system clock is %+.0f s off the issuer's; expiry goes by the issuer's", ahead)
            self._ahead = ahead
        elif abs(ahead) <= TOLERANCE:
            self._ahead = 0.0

    def _system_time(self) -> float:
        return time.time()
