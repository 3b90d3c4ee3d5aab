"""The time in which a server ends: the official SDKs, for example, kill it two seconds after they told it to end.

All steps of the end share this time. One that needs long leaves less to those after it, and none can add its own limit
to those of the others. Free of clocks.
"""

from collections.abc import Callable
from typing import Final

PROCESSES: Final = 1.4
"""Seconds since the beginning after which every process is killed that is left."""
CLIENTS: Final = 1.6
"""Seconds since the beginning after which no client is waited for."""
RECORDS: Final = 1.7
"""Seconds since the beginning after which nothing is written to the disk."""
LEAST: Final = 0.1
"""Seconds that a step has in any case."""


class Departure:
    """One end of a server, from now on."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is a clock, in seconds."""
        self._now, self._began = now, now()

    def left(self, until: float, most: float | None = None) -> float:
        """Return the seconds that a step has that is over `until` seconds after the beginning, `most` of its own."""
        left = max(self._began + until - self._now(), LEAST)
        return left if most is None else min(left, most)
