"""What turns come to is counted once, under labels of small, fixed sets."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given

from greenroom.config.defaults import Limits
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.telemetry.timing_metrics import (
    STATUSES,
    TIMING_METRICS,
    LabelValues,
    TimingMetric,
    attempt_label,
)
from greenroom.protocol.telemetry.timings import (
    BUILTIN_TOOLS,
    FAULTS,
    AttemptTiming,
    OpenPart,
    RequestTiming,
    Timing,
    TokenUse,
)
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Nobody
from greenroom.supervisor.conversations.state.turn_counters import TurnCounters
from tests.protocol.telemetry.test_timings import timings
from tests.support.workplace import Listener, Workplace


def turn() -> ConversationTurn:
    return ConversationTurn(TurnId("t"), ConversationId("c"), b"[]", Nobody())


class Witness:
    """Notes what it is told of turns."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def accepted(self, turn: ConversationTurn) -> None:
        self.told.append((turn.id, "accepted"))

    def started(self, turn: ConversationTurn, incarnation: Incarnation) -> TraceContext | None:
        self.told.append((turn.id, f"started {incarnation}"))
        return None

    def timed(
        self, turn: ConversationTurn, timings: Sequence[Timing], dropped: int, open_parts: Sequence[OpenPart]
    ) -> None:
        self.told.append((turn.id, "timed"))

    def ended(self, turn: ConversationTurn, failure: Failure | None) -> None:
        self.told.append((turn.id, "completed" if failure is None else failure.kind))


@given(timings)
def test_labels_are_of_small_sets_whatever_a_worker_tells(timing: Timing) -> None:
    counters = TurnCounters()
    counters.timed(turn(), [timing], 0)
    classes = {f"{number}xx" for number in "12345"}
    tools = {*BUILTIN_TOOLS, "mcp", "unknown", "other"}
    allowed = {
        "outcome": {*FAULTS, *STATUSES, *classes, "ok", "other", "cancelled", "failed"},
        "kind": {"input", "cached_input", "output", "reasoning_output"},
        "tool": tools,
        "by": {"user", "reviewer"},
        "verdict": {"approved", "approved_for_session", "denied", "abort", "cancelled", "other"},
    }
    for name, row in TIMING_METRICS.items():
        for labels in series(counters, name):
            assert len(labels) == len(row.metric.labels)
            for label, value in zip(row.metric.labels, labels, strict=True):
                assert value in allowed[label], name


def series(counters: TurnCounters, name: str) -> list[LabelValues]:
    if name in counters.timings.counts:
        return list(counters.timings.counts[name])
    return [one.labels for one in counters.timings.histograms[name].distributions]


@pytest.mark.parametrize(("name", "row"), TIMING_METRICS.items(), ids=TIMING_METRICS)
def test_series_that_are_there_from_the_beginning_have_the_labels_of_their_metric(
    name: str, row: TimingMetric[Any]
) -> None:
    assert all(len(labels) == len(row.metric.labels) for labels in row.series)
    if row.series:
        assert dict(TurnCounters().timings.values())[name] == dict.fromkeys(row.series, 0)
    assert (row.metric.kind == "counter") == (name in TurnCounters().timings.counts)


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        ("ok", "ok"),
        ("429", "429"),
        ("418", "4xx"),
        ("599", "5xx"),
        ("broken", "broken"),
        ("", "other"),
        ("\u0664\u0662\u0669", "other"),
        ("4290", "other"),
    ],
)
def test_an_attempt_has_one_of_few_ends(outcome: str, label: str) -> None:
    assert attempt_label(outcome) == label


def test_a_request_is_counted_with_its_attempts_and_tokens() -> None:
    counters, one = TurnCounters(), turn()
    one.accept([counters])
    assert one.accepted_at is not None
    sent = AttemptTiming(started_at=one.accepted_at.at + 0.25, seconds=1.0, outcome="429")
    request = RequestTiming(
        started_at=one.accepted_at.at,
        seconds=3.0,
        model="m",
        provider="p",
        server="s",
        attempts=(sent,),
        outcomes={"429": 2, "ok": 1},
        first_token=0.5,
        usage=TokenUse(input=10, cached_input=4, output=5, reasoning_output=2),
    )
    one.time([request, request], 3)
    assert dict(counters.timings.values()) == {
        "greenroom_model_attempts": {("429",): 4, ("ok",): 2},
        "greenroom_model_retries": {(): 4},
        "greenroom_rate_limited": {(): 4},
        "greenroom_tokens": {("input",): 20, ("cached_input",): 8, ("output",): 10, ("reasoning_output",): 4},
        "greenroom_tool_failures": {},
        "greenroom_tool_output_characters": {},
    }
    assert counters.untimed == 3
    (asked,) = counters.call_to_model.distributions
    assert sum(asked.counts) == 1, "the first request of a turn alone"
    assert asked.sum == pytest.approx(0.25, abs=1e-6)


def test_tool_calls_are_counted_by_tool_with_what_the_model_reads_of_them() -> None:
    counters = TurnCounters()
    for name, origin, end, size in (
        ("shell", "builtin", "ok", 100),
        ("shell", "builtin", "failed", 20),
        ("someone's own", "mcp", "ok", 3),
        ("", "unknown", "failed", 0),
    ):
        facts = {"name": name, "origin": origin, "end": end, "output_size": size}
        told = {"type": "tool", "started_at": 1.0, "seconds": 0.5, "call_id": "c", "arguments_size": 2, **facts}
        counters.timed(turn(), [msgspec.convert(told, Timing)], 0)
    counted = dict(counters.timings.values())
    assert counted["greenroom_tool_output_characters"] == {("shell",): 120, ("mcp",): 3, ("unknown",): 0}
    assert counted["greenroom_tool_failures"] == {("shell",): 1, ("mcp",): 0, ("unknown",): 1}


def test_a_turn_is_counted_once_by_its_end_and_a_refused_one_as_such() -> None:
    counters = TurnCounters()
    for failure in (None, Failure("turn_aborted", ""), Failure("worker_crashed", ""), Failure("made up", "")):
        one = turn()
        one.accept([counters])
        one.start(Incarnation(1))
        if failure is None:
            one.succeed(b'""')
        else:
            one.fail(failure)
    refused = turn()
    refused.accept([counters])
    refused.fail(Failure("overloaded", ""))
    assert counters.turns == {
        ("completed", ""): 1,
        ("aborted", "turn_aborted"): 1,
        ("failed", "worker_crashed"): 1,
        ("failed", "other"): 1,
    }
    assert (counters.calls, counters.refused) == ({"turn": 5}, {"turn": 1})


Play = Callable[[Workplace, Witness], None]


def _completed(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    turn = place.conversations.submit(conversation, b"[]", Listener())
    place.open()
    place.end(turn.id)


def _killed_before_it_began(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    turn = place.conversations.submit(conversation, b"[]", Listener())
    place.die()
    place.open()
    place.end(turn.id, Incarnation(2))


def _killed(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    turn = place.conversations.submit(conversation, b"[]", Listener())
    place.open()
    place.tell(turn.id)
    place.die()


def _interrupted_while_it_waits(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    first = place.conversations.submit(conversation, b"[]", Listener())
    place.open()
    second = place.conversations.submit(conversation, b"[]", Listener())
    place.conversations.interrupt(second)
    place.end(first.id)


def _its_client_leaves(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    listener = Listener()
    turn = place.conversations.submit(conversation, b"[]", listener)
    place.open()
    place.conversations.steer(conversation, b"[]", listener)
    place.conversations.leave(listener.client, "gone")
    place.end(turn.id)


def _overloaded(place: Workplace, _: Witness) -> None:
    conversation = place.conversations.open(b"{}")
    first = place.conversations.submit(conversation, b"[]", Listener())
    place.open()
    for _number in range(Limits().queued_turns + 2):
        place.conversations.submit(conversation, b"[]", Listener())
    place.end(first.id)
    place.conversations.abort_all("the end")


PLAYS: dict[str, tuple[Play, dict[str, Any]]] = {
    "completed": (_completed, {"turns": {("completed", ""): 1}}),
    "killed before it began": (_killed_before_it_began, {"turns": {("completed", ""): 1}}),
    "killed": (_killed, {"turns": {("failed", "worker_crashed"): 1}}),
    "interrupted while it waits": (
        _interrupted_while_it_waits,
        {"turns": {("completed", ""): 1, ("aborted", "turn_aborted"): 1}},
    ),
    "its client leaves": (_its_client_leaves, {"turns": {("completed", ""): 1}}),
    "overloaded": (_overloaded, {"refused": {"turn": 2}}),
}


@pytest.mark.parametrize("play", PLAYS, ids=lambda name: name.replace(" ", "_"))
def test_every_turn_that_was_accepted_ends_once_and_never_before_it_was_accepted(play: str) -> None:
    async def scene() -> None:
        place, witness = Workplace(), Witness()
        place.conversations.probes.append(witness)
        act, expected = PLAYS[play]
        act(place, witness)
        by_turn: dict[str, list[str]] = {}
        for turn_id, what in witness.told:
            by_turn.setdefault(turn_id, []).append(what)
        for told in by_turn.values():
            assert told[0] == "accepted"
            assert [what for what in told if what == "accepted"] == ["accepted"]
            ends = [what for what in told if what != "accepted" and what != "timed" and not what.startswith("started")]
            assert len(ends) == 1, told
            assert told[-1] == ends[0]
        counters = place.conversations.counters
        for name, counted in expected.items():
            assert getattr(counters, name) == counted
        assert counters.calls.total() == len(by_turn)

    asyncio.run(scene())
