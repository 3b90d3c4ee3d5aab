"""The broker's clock: wall time corrected by servers' (docs/security.md, K13) for expiry, monotonic for intervals."""

import logging
import time

from greenroom.runtime.skew import Skew

log = logging.getLogger(__name__)


class Clock:
    """A clock, which tests can replace."""

    def __init__(self) -> None:
        self._skew = Skew()

    def wall(self) -> float:
        """Return the seconds since the epoch by the servers' clocks."""
        return self._system_time() - self._skew.ahead

    @property
    def offset(self) -> float:
        """Seconds that the system's own clock is ahead of the servers'."""
        return self._skew.ahead

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        return time.monotonic()

    def observe(self, date: str | None) -> None:
        """Learn from the `Date` header of an answer that has just arrived."""
        if date is not None and self._skew.observe(date, self._system_time()):
            self._warn()

    def learn(self, ahead: float) -> None:
        """Apply the measurement of another process: the seconds that the system's clock is ahead of a server's."""
        if self._skew.learn(ahead):
            self._warn()

    def _warn(self) -> None:
        log.warning(
            "the system clock is %+.0f s off that of servers; expiry goes by the clock of the servers", self._skew.ahead
        )

    def _system_time(self) -> float:
        return time.time()
