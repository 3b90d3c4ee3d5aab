"""How many conversations that stream at once one program carries."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.client import SubjectError
from benchmarks.search import largest
from benchmarks.stage import Stage
from benchmarks.streamer import Streamer
from benchmarks.streaming import Load

RATE: Final = 50
"""Deltas a second of each conversation."""
LONGEST: Final = 0.25
"""Seconds that 99 of 100 deltas may take to the client."""
OFFERED: Final = 0.95
"""Share of the deltas that the model must have found the time to send."""
_FIRST: Final = 8
_TOLERANCE: Final = 0.08
_SECONDS: Final = 4.0
"""For which each number is watched."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a number of conversations has cost."""

    conversations: int
    cores: float
    """CPU seconds a second."""
    p99: float
    """Seconds from the model's socket to the client's pipe."""


class Capacity:
    """One search. A program that has failed at a number is started anew for the next one."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._program: Streamer | None = None
        self._held = ExitStack()
        self.points: list[Point] = []

    def search(self, deadline: float) -> int:
        """Return the largest number that was carried; after the deadline no other is tried."""
        with self._held:
            found = largest(
                self._carries,
                first=_FIRST,
                ceiling=self._stage.sizes.most_conversations,
                tolerance=_TOLERANCE,
                may_go_on=lambda: time.monotonic() < deadline,
            )
        if time.monotonic() >= deadline:
            self._say("time was up before the search was finished")
        return found

    def _carries(self, count: int) -> bool:
        seconds = min(_SECONDS, self._stage.sizes.stream_seconds)
        try:
            program = self._started()
            program.grow(count)
            found = program.stream(count, RATE, seconds, program.rest())
        except SubjectError as error:
            self._say(f"{count} conversations: {error}")
            self._held.close()
            self._program = None
            return False
        self._say(
            f"{count} conversations: {found.cores:.2f} cores, p99 {found.delay(99) * 1e3:.1f} ms,"
            f" {found.offered:.0%} of the deltas sent"
        )
        self.points.append(Point(count, found.cores, found.delay(99)))
        return bool(found.delays) and found.delay(99) <= LONGEST and found.offered >= OFFERED

    def _say(self, text: str) -> None:
        print(f"{self._stage.subject.name}, {text}", file=sys.stderr, flush=True)

    def _started(self) -> Streamer:
        if self._program is None:
            stage = self._stage
            load = Load(stage.sizes.most_conversations, RATE, _SECONDS)
            program = Streamer(load.program(stage.subject), stage.paced, stage.home, stage.workspace)
            self._program = self._held.enter_context(program)
        return self._program


def curve(points: Sequence[Point]) -> list[Point]:
    """Return a point for each number that was tried, in order: of several tries the one with the shortest delays."""
    best: dict[int, Point] = {}
    for point in points:
        known = best.get(point.conversations)
        if known is None or point.p99 < known.p99:
            best[point.conversations] = point
    return [best[count] for count in sorted(best)]
