"""Decides whether and when a failed model request is retried. Free of I/O and clocks.

There are two nested kinds of retries: the *request* is repeated quickly and silently, and when those are used up, the
*stream* is restarted, which is announced. `outcome` says which of them an outcome may use. A delay that the server asks
for is respected; if it is longer than `LONGEST_WAIT`, the request fails instead.
"""

import random as standard_random
import time
from collections.abc import Callable
from datetime import tzinfo
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.errors import ModelError
from greenroom.workers.model.outcome.attempt import AttemptResult, CredentialDelayed, Level, Verdict, judge

LONGEST_WAIT: Final = 300.0
"""Maximum seconds that a request waits because the server asks for it."""

LEAST_TOLD: Final = 0.05
"""Seconds; a rate limit that asks for less is treated as if it asked for nothing."""

BACKOFF_CAP_MS: Final = 60_000
RECOVERIES: Final = 2
"""How often a request may be repeated with a new credential after a 401."""


class Retry(msgspec.Struct, frozen=True):
    """Try again."""

    after_seconds: float
    announce: bool
    """Restart the stream: everything it has sent so far is void, and clients are sent `text`."""
    text: str
    is_paced: bool = False
    """It is a rate limit shared by all conversations, which wait in turn."""
    told: float | None = None
    """Seconds that the server has asked for."""


class GiveUp(msgspec.Struct, frozen=True):
    """Give up."""

    error: ModelError


RetryDecision: TypeAlias = Retry | GiveUp


class RetryLimits(msgspec.Struct, frozen=True):
    """Maximum retries at each of the two levels."""

    request: int = 4
    stream: int = 5


class RetryPolicy:
    """Decides for one model request, from its first attempt to its end."""

    def __init__(
        self,
        limits: RetryLimits,
        random: Callable[[], float] = standard_random.random,
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        """`random` gives numbers in [0, 1), `clock` seconds since the epoch; `zone` is `None` for the local one."""
        self._limits = {Level.REQUEST: limits.request, Level.STREAM: limits.stream}
        self._used = dict.fromkeys(Level, 0)
        self._random = random
        self._clock = clock
        self._zone = zone
        self._recoveries = 0
        self._paced_count = 0
        self._waited_after_rejection = False

    def may_recover(self) -> bool:
        """Count one more recovery from a 401 and tell whether it is allowed."""
        self._recoveries += 1
        return self._recoveries <= RECOVERIES

    def decide(self, outcome: AttemptResult) -> RetryDecision:
        """Return what to do after an attempt that ended with `outcome`."""
        verdict = judge(outcome, self._clock(), self._zone)
        if isinstance(outcome, CredentialDelayed) and outcome.after_rejection:
            if self._waited_after_rejection:
                return GiveUp(verdict.error)
            self._waited_after_rejection = True
        if verdict.is_paced:
            return self._paced(verdict)
        level = next((level for level in verdict.levels if self._used[level] < self._limits[level]), None)
        if level is None or (verdict.told_delay or 0) > LONGEST_WAIT:
            return GiveUp(verdict.error)
        return self._retry(level, verdict)

    def _paced(self, verdict: Verdict) -> Retry:
        self._paced_count += 1
        asked = verdict.told_delay
        wait = (
            asked if asked is not None and asked >= LEAST_TOLD else backoff_ms(self._paced_count, self._random()) / 1000
        )
        return Retry(wait, announce=True, text=waiting_text(wait), is_paced=True, told=asked)

    def _retry(self, level: Level, verdict: Verdict) -> Retry:
        self._used[level] += 1
        count = self._used[level]
        if level is Level.STREAM:
            self._used[Level.REQUEST] = 0
        delay = verdict.told_delay
        milliseconds = backoff_ms(count, self._random()) if delay is None else round(delay * 1000)
        text = f"stream error: {verdict.error}; retrying {count}/{self._limits[level]} in {delay_text(milliseconds)}…"
        return Retry(milliseconds / 1000, level is Level.STREAM, text)


def backoff_ms(count: int, random: float) -> int:
    """Return the delay before the `count`-th retry: 200 ms, doubled each time, give or take a tenth."""
    doubled = 200 << min(count - 1, 16)
    return min(int(doubled * (0.9 + 0.2 * random)), BACKOFF_CAP_MS)


def waiting_text(seconds: float) -> str:
    """Describe the wait of a request for a rate limit."""
    return f"waiting {delay_text(max(round(seconds * 1000), 1))} for the rate limit…"


def delay_text(milliseconds: int) -> str:
    """Format a delay as `212ms` or `1.653s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + "s"
