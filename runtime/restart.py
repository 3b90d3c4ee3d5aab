"""Restart policy as OTP means it, free of I/O and clocks: how often something may die before it is given up."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `deaths` within `period` seconds; the n-th restart in that time waits for the n-th delay."""

    deaths: int
    period: float
    delays: tuple[float, ...]
    """Seconds; the last one repeats."""


@dataclass(slots=True)
class RestartPolicy:
    """Decides for one child. Times are seconds of any clock that only goes forward."""

    intensity: Intensity
    _deaths: deque[float] = field(default_factory=deque)

    def on_death(self, now: float) -> float | None:
        """Return the seconds to wait before the restart, `None` where the child is to be given up."""
        while self._deaths and self._deaths[0] <= now - self.intensity.period:
            self._deaths.popleft()
        self._deaths.append(now)
        count = len(self._deaths)
        if count > self.intensity.deaths:
            return None
        return self.intensity.delays[min(count, len(self.intensity.delays)) - 1]

    def deaths_in_period(self, now: float) -> int:
        """Return how many deaths count at the moment."""
        return sum(1 for death in self._deaths if death > now - self.intensity.period)
