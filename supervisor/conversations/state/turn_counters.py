"""Counts what clients ask for, how turns end, and what their parts take, since the start of the instance.

Labels are of small, fixed sets, whatever a worker tells.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from greenroom.protocol.errors import ERROR_KINDS
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import Incarnation
from greenroom.protocol.telemetry.timing_metrics import OTHER, TIMING_METRICS, LabelValues, points
from greenroom.protocol.telemetry.timings import OpenPart, RequestTiming, Timing
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.runtime.histogram import HistogramFamily
from greenroom.supervisor.conversations.state.turn import CallKind, ConversationTurn


class TimingCounters:
    """The metrics that are read from timings (`greenroom.protocol.telemetry.timing_metrics`), by their names."""

    def __init__(self) -> None:
        kinds = {name: row.metric.kind for name, row in TIMING_METRICS.items()}
        self.counts: Mapping[str, Counter[LabelValues]] = {
            name: Counter() for name, kind in kinds.items() if kind == "counter"
        }
        self.histograms: Mapping[str, HistogramFamily] = {
            name: HistogramFamily(name) for name, kind in kinds.items() if kind == "histogram"
        }

    def count(self, timing: Timing) -> None:
        """Count what a timing tells."""
        for name, (value, labels) in points(timing):
            if (family := self.histograms.get(name)) is not None:
                family.observe(value, *labels)
            else:
                self.counts[name][labels] += int(value)

    def values(self) -> Iterator[tuple[str, Mapping[LabelValues, int]]]:
        """Yield each counter, with the series that are there from the beginning."""
        for name, counts in self.counts.items():
            yield name, {**dict.fromkeys(TIMING_METRICS[name].series, 0), **counts}


class TurnCounters:
    """Those of one instance (`greenroom.supervisor.conversations.state.turn.TurnProbe`)."""

    def __init__(self) -> None:
        self.calls: Counter[CallKind] = Counter()
        self.refused: Counter[CallKind] = Counter()
        self.turns: Counter[tuple[str, str]] = Counter()
        """Turns that have ended, by outcome and kind of error."""
        self.timings = TimingCounters()
        self.untimed = 0
        """Timings that workers have dropped."""
        self.turn_wait = HistogramFamily("greenroom_turn_wait_seconds")
        self.turn_duration = HistogramFamily("greenroom_turn_duration_seconds")
        self.call_to_model = HistogramFamily("greenroom_call_to_model_seconds")

    @property
    def histograms(self) -> Sequence[HistogramFamily]:
        """All histograms."""
        return (self.turn_wait, self.turn_duration, self.call_to_model, *self.timings.histograms.values())

    def accepted(self, turn: ConversationTurn) -> None:
        """Count what a client has asked for."""
        self.calls[turn.kind] += 1

    def refuse(self, kind: CallKind) -> None:
        """Count what was refused before it became a turn."""
        self.calls[kind] += 1
        self.refused[kind] += 1

    def started(self, turn: ConversationTurn, incarnation: Incarnation) -> TraceContext | None:  # noqa: ARG002
        """Count how long a turn has waited for its start."""
        if turn.started_at is None and turn.accepted_at is not None:
            self.turn_wait.observe(turn.accepted_at.age)
        return None

    def timed(
        self,
        turn: ConversationTurn,
        timings: Sequence[Timing],
        dropped: int,
        open_parts: Sequence[OpenPart] = (),  # noqa: ARG002
    ) -> None:
        """Count what parts of a turn have taken."""
        self.untimed += dropped
        for timing in timings:
            self.timings.count(timing)
            if isinstance(timing, RequestTiming):
                self._note_first_request(turn, timing)

    def ended(self, turn: ConversationTurn, failure: Failure | None) -> None:
        """Count the end of a turn. Input that a running turn has taken in is none."""
        if turn.started_at is None and failure is not None and failure.kind == "overloaded":
            self.refused[turn.kind] += 1
            return
        if turn.kind == "steer" and turn.started_at is None:
            return
        outcome = outcome_of(failure)
        kind = "" if failure is None else failure.kind if failure.kind in ERROR_KINDS else OTHER
        self.turns[outcome, kind] += 1
        if turn.accepted_at is not None:
            self.turn_duration.observe(turn.accepted_at.age, outcome)

    def _note_first_request(self, turn: ConversationTurn, timing: RequestTiming) -> None:
        if timing.attempts and not turn.has_asked:
            turn.has_asked = True
            if turn.accepted_at is not None:
                self.call_to_model.observe(timing.attempts[0].started_at - turn.accepted_at.at)


def outcome_of(failure: Failure | None) -> str:
    """Return how a turn has ended."""
    if failure is None:
        return "completed"
    return "aborted" if failure.kind == "turn_aborted" else "failed"
