"""The metrics that are read from what workers have measured: one row has the metric and its reader.

The instance counts them (`greenroom.supervisor.conversations.state.turn_counters`), and they are in the table of
`greenroom.protocol.telemetry.metrics`. Labels are of small, fixed sets, whatever a worker tells.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.approval import VERDICTS
from greenroom.protocol.telemetry.metric import LONG, Metric, counter, histogram
from greenroom.protocol.telemetry.timings import (
    BUILTIN_TOOLS,
    FAULTS,
    DecisionTiming,
    RequestTiming,
    Timing,
    ToolTiming,
)

STATUSES: Final = frozenset({"400", "401", "403", "404", "408", "413", "422", "429", "500", "502", "503", "504", "529"})
"""HTTP statuses with a series of their own; others share one of their class, such as `4xx`."""
OTHER: Final = "other"

T = TypeVar("T", bound=Timing)
LabelValues: TypeAlias = tuple[str, ...]


Point: TypeAlias = tuple[float, LabelValues]
"""What one timing adds to a metric: to a counter, or a value of a histogram."""


class TimingMetric(msgspec.Struct, Generic[T], frozen=True):
    """A metric that is read from timings of one kind."""

    metric: Metric
    read: Callable[[T], Iterator[Point]]
    series: tuple[LabelValues, ...] = ()
    """Series of a counter that are there, as 0, before anything was counted."""


def attempt_label(outcome: str) -> str:
    """Return the end of an attempt as one of few."""
    if outcome == "ok" or outcome in FAULTS or outcome in STATUSES:
        return outcome
    return f"{outcome[0]}xx" if outcome.isdecimal() and len(outcome) == 3 and outcome[0] in "12345" else OTHER


def _first_token(timing: RequestTiming) -> Iterator[Point]:
    if timing.first_token is not None:
        yield timing.first_token, ()


def _request_duration(timing: RequestTiming) -> Iterator[Point]:
    outcome = "ok" if timing.error is None else "cancelled" if timing.error == "cancelled" else "failed"
    yield timing.seconds, (outcome,)


def _attempts(timing: RequestTiming) -> Iterator[Point]:
    for outcome, count in timing.outcomes.items():
        yield count, (attempt_label(outcome),)


def _retries(timing: RequestTiming) -> Iterator[Point]:
    yield max(0, sum(timing.outcomes.values()) - 1), ()


def _rate_limited(timing: RequestTiming) -> Iterator[Point]:
    yield timing.outcomes.get("429", 0), ()


def _tokens(timing: RequestTiming) -> Iterator[Point]:
    if (usage := timing.usage) is not None:
        yield usage.input, ("input",)
        yield usage.cached_input, ("cached_input",)
        yield usage.output, ("output",)
        yield usage.reasoning_output, ("reasoning_output",)


def _tool(timing: ToolTiming) -> str:
    if timing.origin != "builtin":
        return timing.origin
    return timing.name if timing.name in BUILTIN_TOOLS else OTHER


def _tool_duration(timing: ToolTiming) -> Iterator[Point]:
    yield timing.seconds, (_tool(timing),)


def _tool_failures(timing: ToolTiming) -> Iterator[Point]:
    yield timing.end == "failed", (_tool(timing),)


def _tool_output(timing: ToolTiming) -> Iterator[Point]:
    yield timing.output_size, (_tool(timing),)


def _approval_duration(timing: DecisionTiming) -> Iterator[Point]:
    verdict = timing.verdict if timing.verdict in (*VERDICTS, "cancelled") else OTHER
    yield timing.seconds, (timing.by, verdict)


REQUEST_METRICS: Final[Mapping[str, TimingMetric[RequestTiming]]] = {
    "greenroom_first_token_seconds": TimingMetric(
        histogram("From the last attempt at a model request to the first event of the answer.", LONG), _first_token
    ),
    "greenroom_model_request_duration_seconds": TimingMetric(
        histogram("From a model request to the end of its answer, with retries and waits.", LONG, "outcome"),
        _request_duration,
    ),
    "greenroom_model_attempts": TimingMetric(
        counter("Attempts at model requests, by their end.", "outcome"), _attempts, series=(("ok",),)
    ),
    "greenroom_model_retries": TimingMetric(
        counter("Attempts that followed another one of the same request."), _retries, series=((),)
    ),
    "greenroom_rate_limited": TimingMetric(
        counter("Attempts that were refused with the status 429."), _rate_limited, series=((),)
    ),
    "greenroom_tokens": TimingMetric(
        counter("Tokens of answers, as model servers have reported them.", "kind"),
        _tokens,
        series=(("input",), ("cached_input",), ("output",), ("reasoning_output",)),
    ),
}
TOOL_METRICS: Final[Mapping[str, TimingMetric[ToolTiming]]] = {
    "greenroom_tool_duration_seconds": TimingMetric(
        histogram("Tool calls of the model.", LONG, "tool"), _tool_duration
    ),
    "greenroom_tool_failures": TimingMetric(counter("Tool calls that failed or were refused.", "tool"), _tool_failures),
    "greenroom_tool_output_characters": TimingMetric(
        counter("Characters of text that tool calls have given the model to read.", "tool"), _tool_output
    ),
}
DECISION_METRICS: Final[Mapping[str, TimingMetric[DecisionTiming]]] = {
    "greenroom_approval_duration_seconds": TimingMetric(
        histogram("From a question to the decision.", LONG, "by", "verdict"), _approval_duration
    ),
}

TIMING_METRICS: Final[Mapping[str, TimingMetric[Any]]] = {**REQUEST_METRICS, **TOOL_METRICS, **DECISION_METRICS}
"""All of them, in the order of the page."""


def points(timing: Timing) -> Iterator[tuple[str, Point]]:
    """Yield what a timing adds to each metric, with the name of the metric."""
    match timing:
        case RequestTiming():
            yield from _read(REQUEST_METRICS, timing)
        case ToolTiming():
            yield from _read(TOOL_METRICS, timing)
        case DecisionTiming():
            yield from _read(DECISION_METRICS, timing)


def _read(rows: Mapping[str, TimingMetric[T]], timing: T) -> Iterator[tuple[str, Point]]:
    for name, row in rows.items():
        for point in row.read(timing):
            yield name, point
