"""Whether and when a failed model request is tried again; free of I/O and clocks.

Two kinds of retries are nested: the *request* is repeated quickly and silently, and when that is used up the *stream*
starts over, which is announced. Which of them an outcome may use, `outcome` says. A delay that the server asks for is
kept to; where it asks for more than `LONGEST_WAIT`, the request fails instead.
"""

import random as standard_random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, TypeAlias

from greenroom.protocol.errors import ModelError
from greenroom.workers.model.outcome import CredentialDelayed, Level, Outcome, Verdict, judge

LONGEST_WAIT: Final = 300.0
"""Seconds that a request waits at most because the server asks for it."""

LEAST_TOLD: Final = 0.05
"""Seconds; a rate limit that asks for less is waited out as one that asks for nothing."""

BACKOFF_CAP_MS: Final = 60_000
RECOVERIES: Final = 2
"""How often a request may be repeated with a new credential after a 401."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again."""

    after_seconds: float
    announce: bool
    """The stream starts over: whatever it has said so far is void, and clients are told `text`."""
    text: str
    is_paced: bool = False
    """It is a rate limit that all conversations share; they wait in turn."""
    told: float | None = None
    """Seconds that the server has asked for."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up."""

    error: ModelError


Decision: TypeAlias = Retry | GiveUp


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often is tried again, at each of the two levels."""

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

    def decide(self, outcome: Outcome) -> Decision:
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
        told = verdict.told_delay
        wait = told if told is not None and told >= LEAST_TOLD else backoff_ms(self._paced_count, self._random()) / 1000
        return Retry(wait, announce=True, text=waiting_text(wait), is_paced=True, told=told)

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
    """Say that a request waits for a rate limit."""
    return f"waiting {delay_text(max(round(seconds * 1000), 1))} for the rate limit…"


def delay_text(milliseconds: int) -> str:
    """Write a delay as `212ms` or `1.653s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + "s"
