"""Counts what clients ask for, how turns end, and what their parts take, since the start of the instance.

Labels are of small, fixed sets, whatever a worker tells.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from greenroom.protocol.approval import VERDICTS
from greenroom.protocol.errors import ERROR_KINDS
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import Incarnation
from greenroom.protocol.timings import (
    BUILTIN_TOOLS,
    FAULTS,
    DecisionTiming,
    RequestTiming,
    Timing,
    ToolTiming,
)
from greenroom.protocol.trace_context import TraceContext
from greenroom.runtime.histogram import HistogramFamily
from greenroom.supervisor.conversations.turn import CallKind, Turn

STATUSES: Final = frozenset({"400", "401", "403", "404", "408", "413", "422", "429", "500", "502", "503", "504", "529"})
"""HTTP statuses with a series of their own; others share one of their class, such as `4xx`."""
OTHER: Final = "other"


class TurnCounters:
    """Those of one instance (`greenroom.supervisor.conversations.turn.TurnProbe`)."""

    def __init__(self) -> None:
        self.calls: Counter[CallKind] = Counter()
        self.refused: Counter[CallKind] = Counter()
        self.turns: Counter[tuple[str, str]] = Counter()
        """Turns that have ended, by outcome and kind of error."""
        self.attempts: Counter[str] = Counter()
        """Attempts at model requests, by their end."""
        self.retries = 0
        self.tokens: Counter[str] = Counter()
        self.tool_failures: Counter[str] = Counter()
        self.untimed = 0
        """Timings that workers have dropped."""
        self.turn_wait = HistogramFamily("greenroom_turn_wait_seconds")
        self.turn_duration = HistogramFamily("greenroom_turn_duration_seconds")
        self.call_to_model = HistogramFamily("greenroom_call_to_model_seconds")
        self.first_token = HistogramFamily("greenroom_first_token_seconds")
        self.request_duration = HistogramFamily("greenroom_model_request_duration_seconds")
        self.tool_duration = HistogramFamily("greenroom_tool_duration_seconds")
        self.approval_duration = HistogramFamily("greenroom_approval_duration_seconds")

    def accepted(self, turn: Turn) -> None:
        """Count what a client has asked for."""
        self.calls[turn.kind] += 1

    def refuse(self, kind: CallKind) -> None:
        """Count what was refused before it became a turn."""
        self.calls[kind] += 1
        self.refused[kind] += 1

    def started(self, turn: Turn, incarnation: Incarnation) -> TraceContext | None:  # noqa: ARG002
        """Count how long a turn has waited for its start."""
        if turn.started_at is None and turn.accepted_at is not None:
            self.turn_wait.observe(turn.accepted_at.age)
        return None

    def timed(self, turn: Turn, timings: Sequence[Timing], dropped: int) -> None:
        """Count what parts of a turn have taken."""
        self.untimed += dropped
        for timing in timings:
            match timing:
                case RequestTiming():
                    self._count_request(turn, timing)
                case ToolTiming():
                    tool = _tool_label(timing)
                    self.tool_duration.observe(timing.seconds, tool)
                    self.tool_failures[tool] += timing.end == "failed"
                case DecisionTiming():
                    verdict = timing.verdict if timing.verdict in (*VERDICTS, "cancelled") else OTHER
                    self.approval_duration.observe(timing.seconds, timing.by, verdict)

    def ended(self, turn: Turn, failure: Failure | None) -> None:
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

    def _count_request(self, turn: Turn, timing: RequestTiming) -> None:
        if timing.attempts and not turn.has_asked:
            turn.has_asked = True
            if turn.accepted_at is not None:
                self.call_to_model.observe(timing.attempts[0].started_at - turn.accepted_at.at)
        for outcome, count in timing.outcomes.items():
            self.attempts[attempt_label(outcome)] += count
        self.retries += max(0, sum(timing.outcomes.values()) - 1)
        if timing.first_token is not None:
            self.first_token.observe(timing.first_token)
        self.request_duration.observe(timing.seconds, _request_outcome(timing.error))
        if timing.usage is not None:
            usage = timing.usage
            self.tokens.update(
                input=usage.input,
                cached_input=usage.cached_input,
                output=usage.output,
                reasoning_output=usage.reasoning_output,
            )


def outcome_of(failure: Failure | None) -> str:
    """Return how a turn has ended."""
    if failure is None:
        return "completed"
    return "aborted" if failure.kind == "turn_aborted" else "failed"


def attempt_label(outcome: str) -> str:
    """Return the end of an attempt as one of few."""
    if outcome == "ok" or outcome in FAULTS or outcome in STATUSES:
        return outcome
    return f"{outcome[0]}xx" if outcome.isdecimal() and len(outcome) == 3 and outcome[0] in "12345" else OTHER


def _request_outcome(error: str | None) -> str:
    if error is None:
        return "ok"
    return "cancelled" if error == "cancelled" else "failed"


def _tool_label(timing: ToolTiming) -> str:
    if timing.origin != "builtin":
        return timing.origin
    return timing.name if timing.name in BUILTIN_TOOLS else OTHER
