"""What an instance has done since its start, in a few figures, from what it counts anyway."""

from collections.abc import Mapping

from greenroom.protocol.report import LatencyFigures, WorkFigures
from greenroom.runtime.histogram import HistogramFamily
from greenroom.supervisor.conversations.state.turn_counters import TurnCounters


def work_figures(counters: TurnCounters, deaths: Mapping[tuple[str, str], int]) -> WorkFigures:
    """Return them; `deaths` are those of all processes, by role and cause."""
    turns: dict[str, int] = {}
    for (outcome, _), count in counters.turns.items():
        turns[outcome] = turns.get(outcome, 0) + count
    counts, histograms = counters.timings.counts, counters.timings.histograms
    return WorkFigures(
        calls=counters.calls.total(),
        calls_refused=counters.refused.total(),
        turns=turns,
        first_token=_latency(histograms["greenroom_first_token_seconds"]),
        tokens={kind: count for (kind,), count in counts["greenroom_tokens"].items()},
        rate_limited=counts["greenroom_rate_limited"].total(),
        deaths=sum(deaths.values()),
    )


def _latency(family: HistogramFamily) -> LatencyFigures | None:
    p50, p99 = family.quantile(0.5), family.quantile(0.99)
    return None if p50 is None or p99 is None else LatencyFigures(p50=p50, p99=p99)
