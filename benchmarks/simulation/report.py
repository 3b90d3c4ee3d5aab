"""What runs have shown, as tables for docs/scale.md and as a picture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from benchmarks.chart import Panel, Points, svg
from benchmarks.simulation.calls import Tally
from benchmarks.simulation.scenario import FailureRate
from benchmarks.simulation.world import RECORD_THREADS, World

SLOWEST: Final = 1.0
"""Seconds from a call to the begin of its turn that one of a hundred may exceed, where the load counts as carried."""
SHARE: Final = 0.95
"""Of the turns that are wanted, the share that have to be answered in time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run."""

    running: int
    """Turns that were wanted at a time."""
    answered: float
    """Turns answered, as a share of those that are wanted."""
    supervisor: float
    """Share of its time in which it worked."""
    broker: float
    records: float
    median: float
    """Seconds from a call to the begin of its turn."""
    slowest: float
    """The same of the hundredth that is slowest."""
    memory: float
    """Bytes of the supervisor that conversations take."""
    descriptors: float
    """Of the supervisor."""
    broker_descriptors: float
    live: int
    """The most conversations with a process at a time."""

    @classmethod
    def of(cls, world: World) -> Self:
        """Read it from a run."""
        scenario, costs, length = world.scenario, world.costs, world.scenario.length
        delays = sorted(world.tally.delays)
        remembered = min(scenario.remembered, scenario.parked)
        return cls(
            running=scenario.running,
            answered=world.tally.answered / length * scenario.turn / scenario.running,
            supervisor=world.utilisation,
            broker=world.broker.work / length,
            records=world.records.work / length / RECORD_THREADS,
            median=quantile(delays, 0.5),
            slowest=quantile(delays, 0.99),
            memory=world.peak_live * costs.live_memory + remembered * costs.parked_memory,
            descriptors=world.peak_live * costs.live_descriptors + scenario.nodes,
            broker_descriptors=world.peak_live * costs.broker_descriptors,
            live=world.peak_live,
        )

    @property
    def is_carried(self) -> bool:
        """Whether the host keeps up."""
        return self.slowest <= SLOWEST and self.answered >= SHARE


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of ordered values lies; infinite where there are none."""
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))] if ordered else math.inf


def sweep_table(outcomes: Iterable[Outcome]) -> str:
    """Return a row for each load."""
    rows = [
        "| Turns at a time | Supervisor | Auth broker | Flushes | Call to begin, median | p99 | Live at most |"
        " Memory | Descriptors | Carried |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {one.running:,} | {one.supervisor:.0%} | {one.broker:.0%} | {one.records:.1%} | {seconds(one.median)} |"
        f" {seconds(one.slowest)} | {one.live:,} | {one.memory / 1e9:.1f} GB |"
        f" {one.descriptors:,.0f} + {one.broker_descriptors:,.0f} | {'yes' if one.is_carried else 'no'} |"
        for one in outcomes
    ]
    return "\n".join(rows)


def failure_table(rates: Sequence[FailureRate], nodes: int, lost: Mapping[float, float]) -> str:
    """Return a row for each published rate. `lost`: turns that one loss of a node costs, by the notice before it."""
    rows = ["| Machines | Losses of a node a day | Turns lost for each | Turns lost a day |", "|---|---|---|---|"]
    for rate in rates:
        a_day, each = rate.per_node_and_day * nodes, lost[rate.notice]
        rows.append(f"| {rate.name} | {a_day:.2f} | {each:.0f} | {a_day * each:.0f} |")
    return "\n".join(rows)


def restart_table(tallies: Mapping[int, Tally]) -> str:
    """Return a row for each number of turns that ran when the host was killed."""
    rows = ["| Turns at a time | Turns lost | Until 95 % as many run again |", "|---|---|---|"]
    for load, tally in tallies.items():
        took = seconds(tally.recoveries[0]) if tally.recoveries else "longer than the run"
        rows.append(f"| {load:,} | {tally.lost:,} | {took} |")
    return "\n".join(rows)


def seconds(value: float) -> str:
    """Return a time in a unit that suits it."""
    if not math.isfinite(value):
        return "never"
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"


def picture(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return the charts: what is busy, and how long calls wait, for each kind of load."""
    first = next(iter(outcomes.values()))

    def line(values: Iterable[tuple[float, float]]) -> Points:
        return [(x / 1000, y) for x, y in values]

    x_title = "turns at a time, thousands"
    busy = {
        "supervisor": line((one.running, one.supervisor) for one in first),
        "auth broker": line((one.running, one.broker) for one in first),
        "flushes": line((one.running, one.records) for one in first),
    }
    waits = {name: line((one.running, one.slowest) for one in found) for name, found in outcomes.items()}
    return svg(
        [
            Panel(f"share of time, {next(iter(outcomes))}", x_title, busy, limit=1.0),
            Panel("call to begin of its turn, p99, s", x_title, waits, logarithmic=True, limit=SLOWEST),
        ]
    )
