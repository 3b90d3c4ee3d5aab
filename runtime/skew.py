"""The offset of this machine's clock from the `Date` headers of servers (docs/security.md, K13). Free of I/O."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

TOLERANCE: Final = 60.0
"""Seconds that our clock and a server's may lie apart before the server's is believed."""


@dataclass(slots=True)
class Skew:
    """An estimate that small differences, such as the time that an answer travels, do not change."""

    ahead: float = 0.0
    """Seconds that the clock of this machine is ahead; 0 as long as it is about right."""

    def observe(self, date: str, now: float) -> bool:
        """Learn from the `Date` of an answer that has just arrived; return whether the estimate has changed."""
        try:
            return self.learn(now - parsedate_to_datetime(date).timestamp())
        except (ValueError, OverflowError):
            return False

    def learn(self, ahead: float) -> bool:
        """Take over what has been found by another process, or here; return whether the estimate has changed."""
        if abs(ahead) <= TOLERANCE:
            ahead = 0.0
        elif abs(ahead - self.ahead) <= TOLERANCE:
            return False
        changed, self.ahead = ahead != self.ahead, ahead
        return changed
