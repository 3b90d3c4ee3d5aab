"""A session file tells how each of its turns ended, whichever release has written it and wherever it breaks off."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from greenroom.sessions.records.turn_log import SavedTurn, TurnLog


def event(kind: str, **more: Any) -> bytes:
    payload = {"type": kind, **more}
    return (
        json.dumps({"timestamp": "2026-11-22T11:44:02.472Z", "type": "event_msg", "payload": payload}).encode() + b"\n"
    )


def log(*lines: bytes) -> list[SavedTurn]:
    found = TurnLog()
    assert list(found.watching(lines)) == list(lines)
    return found.turns


def test_each_end_is_told_with_what_belongs_to_it() -> None:
    turns = log(
        event("task_started", turn_id="a", started_at=1),
        event("task_complete", turn_id="a", last_agent_message="yes", completed_at=2),
        event("task_started", turn_id="b", started_at=3),
        event("task_complete", turn_id="b", last_agent_message=None, completed_at=4, error={"message": "no"}),
        event("task_started", turn_id="c", started_at=5),
        event("turn_aborted", turn_id="c", reason="interrupted", completed_at=6),
        event("task_started", turn_id="d", started_at=7),
    )
    assert turns == [
        SavedTurn("a", "completed", 1, 2, "yes"),
        SavedTurn("b", "failed", 3, 4, None, "no"),
        SavedTurn("c", "aborted", 5, 6, None, "interrupted"),
        SavedTurn("d", "open", 7),
    ]


def test_a_turn_whose_process_died_stays_open_when_the_next_one_begins() -> None:
    turns = log(
        event("task_started", turn_id="a"), event("task_started", turn_id="b"), event("task_complete", turn_id="b")
    )
    assert [(turn.id, turn.outcome) for turn in turns] == [("a", "open"), ("b", "completed")]


def test_the_names_of_later_releases_are_known_and_an_end_without_a_beginning_is_told() -> None:
    turns = log(event("turn_started", turn_id="a"), event("turn_complete", turn_id="a"), event("turn_complete"))
    assert [(turn.id, turn.outcome) for turn in turns] == [("a", "completed"), ("", "completed")]


def test_what_only_looks_like_the_end_of_a_turn_is_none() -> None:
    said = json.dumps({"type": "response_item", "payload": {"type": "task_complete"}}).encode()
    assert log(said, b'{"type":"event_msg","payload":{"type":"task_compl', b"\xff turn_\n", event("token_count")) == []


KINDS = st.sampled_from(["task_started", "task_complete", "turn_aborted", "turn_complete", "token_count"])


@given(st.lists(st.tuples(KINDS, st.sampled_from("abc"))), st.data())
def test_turns_are_never_lost_wherever_the_file_breaks_off(events: list[tuple[str, str]], data: st.DataObject) -> None:
    lines = [event(kind, turn_id=turn) for kind, turn in events]
    whole = log(*lines)
    assert len(whole) >= sum(kind == "task_started" for kind, _ in events)
    cut = data.draw(st.integers(0, len(lines)))
    before = log(*lines[:cut], *(line[:10] for line in lines[cut : cut + 1]))
    assert [turn.id for turn in before] == [turn.id for turn in whole[: len(before)]]
    assert [turn for turn in before if turn.outcome != "open"] == [
        turn for turn, then in zip(whole, before, strict=False) if then.outcome != "open"
    ]
