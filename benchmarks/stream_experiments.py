"""How the figures of streaming are measured: deltas that come one at a time."""

import time
from dataclasses import replace
from typing import Final

from benchmarks import cores
from benchmarks.capacity import Capacity, curve
from benchmarks.stage import Measured, Stage
from benchmarks.streaming import Cost, Load, measure

CORES: Final = 2
"""That the measured program may use where it is asked how much it carries."""


def one_stream(stage: Stage) -> Measured:
    """One conversation of a model that writes a hundred deltas a second."""
    found = _stream(stage, Load(1, 100, stage.sizes.stream_seconds))
    return {"stream-1": [found.streamed.cost * 1e6], "stream-1-whole": [found.whole * 1e6]}


def one_silent_stream(stage: Stage) -> Measured:
    """The same where the client gets none of them."""
    found = _stream(stage, Load(1, 100, stage.sizes.stream_seconds, events=False))
    return {"silent-1": [found.streamed.cost * 1e6], "silent-1-whole": [found.whole * 1e6]}


def streams(stage: Stage) -> Measured:
    """Forty conversations at once, thirty deltas a second each."""
    found = _stream(stage, Load(40, 30, stage.sizes.stream_seconds))
    delays = [delay * 1e3 for delay in found.streamed.delays]
    return {
        "stream-40": [found.streamed.cost * 1e6],
        "stream-40-whole": [found.whole * 1e6],
        "latency": delays,
        "latency-p99": delays,
    }


def silent_streams(stage: Stage) -> Measured:
    """The same where the client gets none of them."""
    found = _stream(stage, Load(40, 30, stage.sizes.stream_seconds, events=False))
    return {"silent-40": [found.streamed.cost * 1e6], "silent-40-whole": [found.whole * 1e6]}


def capacity(stage: Stage) -> Measured:
    """How many conversations a program carries, and what each number tried has cost: the points of the picture."""
    deadline = time.monotonic() + stage.sizes.search_seconds
    with cores.confined(CORES, stage.paced.pid) as given, stage.in_fresh_home(stage.paced.base_url) as fresh:
        found = Capacity(replace(fresh, subject=replace(fresh.subject, cores=frozenset(given))))
        most = found.search(deadline)
    points = curve(found.points)
    return {
        "capacity": [float(most)],
        "curve-conversations": [float(point.conversations) for point in points],
        "curve-cores": [point.cores for point in points],
        "curve-p99": [point.p99 * 1e3 for point in points],
    }


def _stream(stage: Stage, load: Load) -> Cost:
    with stage.in_fresh_home(stage.paced.base_url) as fresh:
        return measure(fresh.subject, load, fresh.paced, fresh.home, fresh.workspace)
