"""Places where work queues: a number of servers, first come first served, with what passed through them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import simpy

LEAST_SHARE: Final = 0.01
"""Of a processor that remains for single jobs, however much else it has to do."""

Process = Generator[simpy.Event, Any, None]


@dataclass(slots=True)
class Station:
    """`servers` jobs at a time; each takes an exponential time of the mean that it comes with."""

    environment: simpy.Environment
    random: Random
    servers: int
    background: Callable[[], float] = lambda: 0.0
    """Returns the share of each server that work outside of the queue takes at the moment."""
    work: float = 0.0
    """Seconds of work that have been done."""
    area: float = 0.0
    """Jobs that are here, integrated over time: divided by the time it is their mean number."""
    arrived: int = 0
    left: int = 0
    sojourn: float = 0.0
    """Seconds that jobs which have left were here, added up."""
    _since: float = 0.0
    _queue: simpy.Resource = field(init=False)

    def __post_init__(self) -> None:
        self._queue = simpy.Resource(self.environment, self.servers)

    @property
    def present(self) -> int:
        """Number of jobs that wait or are served."""
        return self.arrived - self.left

    def serve(self, mean: float) -> Process:
        """Pass through."""
        arrived = self.environment.now
        self._count(arriving=True)
        with self._queue.request() as turn:
            yield turn
            work = self.random.expovariate(1 / mean) if mean > 0 else 0.0
            self.work += work
            yield self.environment.timeout(work / max(LEAST_SHARE, 1 - self.background()))
        self._count(arriving=False)
        self.sojourn += self.environment.now - arrived

    def forget(self) -> None:
        """Begin counting anew, at the end of the warm-up; those that are here stay."""
        self._count_area()
        self.work = self.area = self.sojourn = 0.0
        self.arrived, self.left = self.present, 0

    def mean_present(self, seconds: float) -> float:
        """Return the mean number of jobs over the time since counting began."""
        self._count_area()
        return self.area / seconds

    def _count(self, *, arriving: bool) -> None:
        self._count_area()
        if arriving:
            self.arrived += 1
        else:
            self.left += 1

    def _count_area(self) -> None:
        now = self.environment.now
        self.area += self.present * (now - self._since)
        self._since = now
