"""What an instance has done since its start, in a few figures, from what it counts anyway."""

from collections.abc import Mapping

from greenroom.protocol.report import LatencyFigures, WorkFigures
from greenroom.runtime.histogram import HistogramFamily
from greenroom.supervisor.conversations.turn_counters import TurnCounters


def work_figures(counters: TurnCounters, deaths: Mapping[tuple[str, str], int]) -> WorkFigures:
    """Return them; `deaths` are those of all processes, by role and cause."""
    turns: dict[str, int] = {}
    for (outcome, _), count in counters.turns.items():
        turns[outcome] = turns.get(outcome, 0) + count
    return WorkFigures(
        calls=counters.calls.total(),
        calls_refused=counters.refused.total(),
        turns=turns,
        first_token=_latency(counters.first_token),
        tokens=dict(counters.tokens),
        rate_limited=counters.attempts["429"],
        deaths=sum(deaths.values()),
    )


def _latency(family: HistogramFamily) -> LatencyFigures | None:
    p50, p99 = family.quantile(0.5), family.quantile(0.99)
    return None if p50 is None or p99 is None else LatencyFigures(p50=p50, p99=p99)
