"""When a refresh may be tried: spacing, the hourly limit, backoff and refreshes with unknown outcome.

Free of I/O: every function gets the time. Waits are in seconds.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

SPACING: Final = 30.0
"""Seconds between two refreshes, unless the token cannot be used any more."""
PER_HOUR: Final = 6
"""Refreshes of one identity in an hour."""
HOUR: Final = 3600.0

FIRST_BACKOFF: Final = 1.0
LONGEST_BACKOFF: Final = 60.0
JITTER: Final = 0.2
"""Fraction by which a backoff is longer or shorter."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Upper limit in seconds of a server's `Retry-After`."""

DOUBT_USABLE: Final = 30.0
DOUBT_UNUSABLE: Final = 2.0
"""Seconds after a refresh with unknown outcome until the next, where the access token is not usable."""
DOUBT_WINDOW: Final = 600.0
"""Seconds in which one refresh token is sent at most twice."""
DOUBT_ATTEMPTS: Final = 2

STALE_SPREAD: Final = 30.0
"""Seconds over which brokers spread the refreshes of a token that they share."""


class RefreshBackoff(msgspec.Struct):
    """The wait after each failure in a row: 1, 2, 4 … 60 s, jittered."""

    _uniform: Callable[[float, float], float] = random.uniform
    _failures: int = 0

    def failed(self, retry_after: float | None = None) -> float:
        """Return the wait after another failure; a server's `Retry-After` counts where it is longer."""
        wait = min(FIRST_BACKOFF * 2.0 ** min(self._failures, 16), LONGEST_BACKOFF)
        self._failures += 1
        jittered: float = wait * self._uniform(1 - JITTER, 1 + JITTER)
        return max(jittered, min(retry_after or 0.0, LONGEST_RETRY_AFTER))

    def succeeded(self) -> None:
        """Reset."""
        self._failures = 0


def earliest(while_usable: float, once_unusable: float, usable_for: float) -> float:
    """Return the shorter wait: of a usable token, or of an unusable one, which it is after `usable_for` seconds."""
    return min(while_usable, max(once_unusable, usable_for))


class RefreshBudget(msgspec.Struct):
    """The remaining refreshes of each identity."""

    _refreshed: dict[str, deque[float]] = msgspec.field(default_factory=dict)

    def spend(self, identity: str, now: float) -> None:
        """Count a refresh that the issuer may have carried out."""
        self._refreshed.setdefault(identity, deque(maxlen=PER_HOUR)).append(now)

    def wait(self, identity: str, now: float, usable_for: float) -> float:
        """Return the wait before the next refresh, the access token being valid for `usable_for` seconds."""
        refreshed = self._refreshed.get(identity)
        if not refreshed:
            return 0.0
        spacing = max(0.0, refreshed[-1] + SPACING - now)
        hourly = max(0.0, refreshed[0] + HOUR - now) if len(refreshed) == PER_HOUR else 0.0
        return max(hourly, earliest(spacing, 0.0, usable_for))


def doubt_wait(attempts: Sequence[float], now: float, usable_for: float) -> float:
    """Return the wait of a refresh token whose last exchanges, at `attempts`, had an unknown outcome.

    `usable_for`: seconds that the access token is still valid. Attempts from the future, as after a change of the
    clock, count as made now.
    """
    recent = sorted(min(attempt, now) for attempt in attempts if now - attempt < DOUBT_WINDOW)
    if not recent:
        return 0.0
    if len(recent) >= DOUBT_ATTEMPTS:
        return DOUBT_WINDOW - (now - recent[-DOUBT_ATTEMPTS])
    since = now - recent[-1]
    return earliest(max(0.0, DOUBT_USABLE - since), max(0.0, DOUBT_UNUSABLE - since), usable_for)
