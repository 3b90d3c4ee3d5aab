"""Estimates the offset of this machine's clock from the `Date` headers of servers (docs/security.md, K13). Free of
I/O."""

from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

TOLERANCE: Final = 60.0
"""Seconds by which the clocks may differ before the server's is used."""


class Skew(msgspec.Struct):
    """An estimate that ignores small differences, such as the time that an answer travels."""

    ahead: float = 0.0
    """Seconds by which this machine's clock is ahead; 0 while it is approximately right."""

    def observe(self, date: str, now: float) -> bool:
        """Update the estimate from the `Date` of an answer that has just arrived; return whether it has changed."""
        try:
            return self.learn(now - parsedate_to_datetime(date).timestamp())
        except (ValueError, OverflowError):
            return False

    def learn(self, ahead: float) -> bool:
        """Adopt an estimate, for instance of another process; return whether it has changed."""
        if abs(ahead) <= TOLERANCE:
            ahead = 0.0
        elif abs(ahead - self.ahead) <= TOLERANCE:
            return False
        changed, self.ahead = ahead != self.ahead, ahead
        return changed
