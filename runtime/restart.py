"""Restart policies, free of I/O and clocks: how often a process may die before it is given up, and the delays."""

import os
from collections import deque
from collections.abc import Callable

import msgspec


class Intensity(msgspec.Struct, frozen=True):
    """At most `deaths` within `period` seconds; the n-th restart in that time is delayed by the n-th delay."""

    deaths: int
    period: float
    delays: tuple[float, ...]
    """Seconds; the last one repeats."""


class RestartPolicy(msgspec.Struct):
    """The policy for one child. Times are seconds of any monotonic clock."""

    intensity: Intensity
    _deaths: deque[float] = msgspec.field(default_factory=deque)

    def on_death(self, now: float) -> float | None:
        """Return the seconds to wait before the restart, `None` if the child is to be given up."""
        while self._deaths and self._deaths[0] <= now - self.intensity.period:
            self._deaths.popleft()
        self._deaths.append(now)
        count = len(self._deaths)
        if count > self.intensity.deaths:
            return None
        return self.intensity.delays[min(count, len(self.intensity.delays)) - 1]

    def deaths_in_period(self, now: float) -> int:
        """Return how many deaths currently count."""
        return sum(1 for death in self._deaths if death > now - self.intensity.period)


class Delays(msgspec.Struct, frozen=True):
    """Growing delays without end: the n-th restart in a row is delayed by the n-th delay."""

    seconds: tuple[float, ...]
    """The last one repeats."""
    healthy_after: float
    """Seconds of life after which earlier deaths no longer count."""
    jitter: float = 0.2
    """Maximum fraction of a delay that is added at random, so that processes that died together do not start
    together."""


def by_chance() -> float:
    """Return a random number, at least 0 and below 1. Avoids importing the module `random` at startup."""
    return os.urandom(1)[0] / 256


class Backoff(msgspec.Struct):
    """The policy for one child that is never given up. Times are seconds of any monotonic clock."""

    delays: Delays
    chance: Callable[[], float] = by_chance
    _deaths: int = 0
    _restarted_at: float = 0.0

    def on_death(self, now: float) -> float:
        """Return the seconds to wait before the restart."""
        self._deaths = self.deaths_in_period(now) + 1
        delay = self.delays.seconds[min(self._deaths, len(self.delays.seconds)) - 1]
        delay += delay * self.delays.jitter * self.chance()
        self._restarted_at = now + delay
        return delay

    def deaths_in_period(self, now: float) -> int:
        """Return how many deaths in a row currently count: none once the child has lived long enough."""
        return self._deaths if now < self._restarted_at + self.delays.healthy_after else 0
