"""When a refresh may be tried: spacing, the hourly limit, backoff and doubtful redemptions.

Free of I/O: every function is told the time. Waits are in seconds.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

SPACING: Final = 30.0
"""Seconds between two redemptions, unless the token cannot be used any more."""
PER_HOUR: Final = 6
"""Redemptions of one identity in an hour."""
HOUR: Final = 3600.0

FIRST_BACKOFF: Final = 1.0
LONGEST_BACKOFF: Final = 60.0
JITTER: Final = 0.2
"""Part by which a backoff is longer or shorter."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds of a server's `Retry-After` that are believed."""

DOUBT_USABLE: Final = 30.0
DOUBT_UNUSABLE: Final = 2.0
"""Seconds after a redemption of unknown fate when it is tried once more."""
DOUBT_WINDOW: Final = 600.0
"""Seconds in which one refresh token is redeemed at most twice."""
DOUBT_ATTEMPTS: Final = 2

STALE_SPREAD: Final = 30.0
"""Seconds over which brokers that see the same token grow stale spread their refreshes."""


@dataclass(slots=True)
class Backoff:
    """The wait after each failure in a row: 1, 2, 4 … 60 s, jittered."""

    _uniform: Callable[[float, float], float] = random.uniform
    _failures: int = 0

    def failed(self, retry_after: float | None = None) -> float:
        """Return the wait after another failure; a server's own wish counts where it is longer."""
        wait = min(FIRST_BACKOFF * 2.0 ** min(self._failures, 16), LONGEST_BACKOFF)
        self._failures += 1
        jittered: float = wait * self._uniform(1 - JITTER, 1 + JITTER)
        return max(jittered, min(retry_after or 0.0, LONGEST_RETRY_AFTER))

    def succeeded(self) -> None:
        """Start afresh."""
        self._failures = 0


def earliest(while_usable: float, once_unusable: float, usable_for: float) -> float:
    """Return the wait where it differs for a token that still does, and does so for `usable_for` seconds."""
    return min(while_usable, max(once_unusable, usable_for))


@dataclass(slots=True)
class RefreshBudget:
    """How many redemptions an identity still has."""

    _redeemed: dict[str, deque[float]] = field(default_factory=dict)

    def spend(self, identity: str, now: float) -> None:
        """Note a redemption that the issuer may have carried out."""
        self._redeemed.setdefault(identity, deque(maxlen=PER_HOUR)).append(now)

    def wait(self, identity: str, now: float, usable_for: float) -> float:
        """Return how long the next redemption has to wait, the access token being good for `usable_for` seconds."""
        redeemed = self._redeemed.get(identity)
        if not redeemed:
            return 0.0
        spacing = max(0.0, redeemed[-1] + SPACING - now)
        hourly = max(0.0, redeemed[0] + HOUR - now) if len(redeemed) == PER_HOUR else 0.0
        return max(hourly, earliest(spacing, 0.0, usable_for))


def doubt_wait(attempts: Sequence[float], now: float, usable_for: float) -> float:
    """Return how long a refresh token has to wait whose last redemptions, at `attempts`, had an unknown fate.

    `usable_for`: seconds that the access token is still good for. Attempts from the future, as after a change of the
    clock, count as made now.
    """
    recent = sorted(min(attempt, now) for attempt in attempts if now - attempt < DOUBT_WINDOW)
    if not recent:
        return 0.0
    if len(recent) >= DOUBT_ATTEMPTS:
        return DOUBT_WINDOW - (now - recent[-DOUBT_ATTEMPTS])
    since = now - recent[-1]
    return earliest(max(0.0, DOUBT_USABLE - since), max(0.0, DOUBT_UNUSABLE - since), usable_for)
