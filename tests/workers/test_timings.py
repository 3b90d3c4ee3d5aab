"""What a worker has measured is kept until it is sent, and holds no text."""

import asyncio
from collections.abc import Callable

import pytest

from greenroom.protocol.approval import CommandQuestion, FormQuestion
from greenroom.protocol.errors import ModelError
from greenroom.protocol.telemetry.timings import (
    MOST,
    MOST_ATTEMPTS,
    DecisionTiming,
    OpenRequest,
    OpenTool,
    RequestTiming,
    ToolTiming,
)
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.workers.timings import KEPT, Subject, TurnTimings

CALL = {"name": "shell", "call_id": "call_1", "arguments": '{"command":["secret"]}'}
TRACE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "vendor=1")


class Clock:
    """Goes on by one second with each look."""

    def __init__(self, start: float) -> None:
        self._seconds = start

    def __call__(self) -> float:
        self._seconds += 1.0
        return self._seconds


def log() -> TurnTimings:
    return TurnTimings(lambda: Subject("m", "p"), Clock(1000.0), Clock(0.0))


def test_a_tool_call_is_measured_without_what_it_says() -> None:
    timings = log()
    with timings.tool(CALL) as measured:
        measured.end, measured.output_size = "failed", 7
    (timing,) = timings.waiting
    assert timing == ToolTiming(
        started_at=1001.0,
        seconds=1.0,
        name="shell",
        call_id="call_1",
        origin="builtin",
        end="failed",
        arguments_size=len(CALL["arguments"]),
        output_size=7,
    )
    assert "secret" not in repr(timing)


def test_the_name_that_a_model_has_invented_is_not_kept() -> None:
    timings = log()
    with timings.tool({**CALL, "name": "what the user said"}) as measured:
        measured.origin = "unknown"
    (timing,) = timings.waiting
    assert isinstance(timing, ToolTiming)
    assert (timing.name, timing.origin) == ("", "unknown")


def test_a_call_that_is_stopped_is_kept_and_told_as_such() -> None:
    timings = log()

    def call() -> None:
        with timings.tool(CALL):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        call()
    (timing,) = timings.waiting
    assert isinstance(timing, ToolTiming)
    assert timing.end == "cancelled"


def test_a_decision_names_the_tool_that_waits_for_it() -> None:
    timings = log()
    question = CommandQuestion(call_id="call_1", command=["rm"], shell_text="rm", cwd="/", parts=[])
    with timings.tool(CALL), timings.decision(question, "user") as measured:
        measured.verdict = "denied"
    with timings.decision(FormQuestion(server="s", message="m", form={}), "user"):
        pass
    decision, _, form = timings.waiting
    assert isinstance(decision, DecisionTiming)
    assert isinstance(form, DecisionTiming)
    assert (decision.kind, decision.call_id, decision.tool, decision.verdict) == (
        "command",
        "call_1",
        "shell",
        "denied",
    )
    assert (form.kind, form.call_id, form.tool, form.verdict) == ("mcp_form", "", "", "cancelled")


def test_a_request_is_measured_with_its_attempts() -> None:
    timings = log()
    with timings.request("example.org:443") as timer:
        timer.ended("no_credential")  # it was never sent
        timer.sent()
        timer.ended("503")
        timer.sent()
        timer.heard()
    (timing,) = timings.waiting
    assert isinstance(timing, RequestTiming)
    assert timing.outcomes == {"503": 1, "ok": 1}
    assert [attempt.outcome for attempt in timing.attempts] == ["503", "ok"]
    assert timing.first_token == 1.0
    assert timing.error is None
    assert (timing.model, timing.provider, timing.server, timing.span_id) == ("m", "p", "example.org:443", "")


def test_of_many_attempts_all_are_counted_and_the_last_is_described() -> None:
    timings = log()
    with timings.request("s") as timer:
        for _ in range(50):
            timer.sent()
            timer.ended("429")
        timer.sent()
    (timing,) = timings.waiting
    assert isinstance(timing, RequestTiming)
    assert timing.outcomes == {"429": 50, "ok": 1}
    assert len(timing.attempts) == MOST_ATTEMPTS
    assert timing.attempts[-1].outcome == "ok"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ModelError("no"), "model_error"), (asyncio.CancelledError(), "cancelled"), (GeneratorExit(), "cancelled")],
)
def test_a_request_that_fails_is_kept_with_the_kind_of_its_error(error: BaseException, kind: str) -> None:
    timings = log()

    def ask() -> None:
        with timings.request("s") as timer:
            timer.sent()
            raise error

    with pytest.raises(type(error)):
        ask()
    (timing,) = timings.waiting
    assert isinstance(timing, RequestTiming)
    assert (timing.error, timing.outcomes) == (kind, {"cancelled": 1})


def test_what_is_under_way_is_told_where_there_is_a_trace() -> None:
    timings = log()
    with timings.request("s"):
        assert not timings.open_parts
    timings.trace = TRACE
    with timings.tool(CALL), timings.request("example.org:443") as timer:
        called, asked = timings.open_parts
        assert called == OpenTool(started_at=1002.0, name="shell", call_id="call_1", origin="builtin")
        traceparent = timer.headers["traceparent"]
        assert isinstance(asked, OpenRequest)
        assert asked.span_id == traceparent.split("-")[2]
        assert (asked.started_at, asked.model, asked.provider, asked.server) == (1003.0, "m", "p", "example.org:443")
    assert not timings.open_parts
    with timings.tool({**CALL, "name": "what the user said"}):
        (unknown,) = timings.open_parts
        assert "the user said" not in repr(unknown)


def test_servers_are_told_of_a_trace_where_there_is_one() -> None:
    timings = log()
    with timings.request("s") as timer:
        assert timer.headers == {}
    timings.trace = TRACE
    with timings.request("s") as timer:
        headers = timer.headers
    timing = timings.waiting[-1]
    assert isinstance(timing, RequestTiming)
    assert headers == {"traceparent": f"00-{TRACE.trace_id}-{timing.span_id}-01", "tracestate": "vendor=1"}
    assert timing.span_id != TRACE.span_id


def test_what_was_sent_is_dropped_and_the_rest_kept_in_order() -> None:
    timings = log()
    for number in range(MOST + 3):
        with timings.tool({**CALL, "call_id": str(number)}):
            pass
    first = timings.waiting
    assert len(first) == MOST
    timings.sent(len(first))
    rest = timings.waiting
    assert [getattr(one, "call_id", "") for one in (*first, *rest)] == [str(number) for number in range(MOST + 3)]


def test_a_full_message_is_asked_for_and_none_is_lost_while_it_is_taken() -> None:
    timings = log()
    taken: list[int] = []

    def send() -> None:
        taken.append(len(timings.waiting))
        timings.sent(len(timings.waiting))

    timings.on_full = send
    _fill(timings, 3 * MOST + 1)
    assert taken == [MOST] * 3
    assert len(timings.waiting) == 1
    assert timings.end_turn()[1] == 0


def test_what_nobody_takes_is_bounded_and_counted_and_none_of_it_reaches_the_next_turn() -> None:
    timings = log()
    _fill(timings, KEPT + 5)
    told, untold = timings.end_turn()
    assert (len(told), untold) == (MOST, KEPT + 5 - MOST)
    assert timings.waiting == ()
    assert timings.end_turn() == ((), 0)


def _fill(timings: TurnTimings, count: int, run: Callable[[], None] = lambda: None) -> None:
    for _ in range(count):
        with timings.tool(CALL):
            run()
