"""A session file tells how many tokens of which model its conversation has used itself."""

import json
from typing import Any

from greenroom.sessions.records.consumption import Consumption


def line(kind: str, at: str = "2026-11-22T11:44:02.472Z", **payload: Any) -> bytes:
    return json.dumps({"timestamp": at, "type": kind, "payload": payload}).encode() + b"\n"


def totals(count: int, **more: int) -> dict[str, int]:
    return {"input_tokens": count, "output_tokens": 0, "total_tokens": count, **more}


def count(total: int, at: str = "2026-11-22T11:44:02.472Z") -> bytes:
    return line("event_msg", at, type="token_count", info={"total_token_usage": totals(total)})


def model(slug: str) -> bytes:
    return line("turn_context", model=slug)


def used(*lines: bytes) -> dict[str, int]:
    found = Consumption()
    assert list(found.watching(lines)) == list(lines)
    return {name: counts["total_tokens"] for name, counts in found.by_model.items()}


def test_each_count_belongs_to_the_model_of_its_turn() -> None:
    assert used(count(1), model("a"), count(10), count(30), model("b"), count(35), model("a"), count(36)) == {
        "": 1,
        "a": 30,
        "b": 5,
    }


def test_a_count_that_is_told_again_counts_once_and_one_that_begins_anew_counts_whole() -> None:
    assert used(model("a"), count(10), count(10), count(10)) == {"a": 10}
    assert used(model("a"), count(10), count(4), count(5)) == {"a": 15}


def test_records_of_later_releases_count_like_events() -> None:
    record = line("token_usage_record", thread_token_usage=totals(12))
    assert used(model("a"), count(10), record, count(12)) == {"a": 12}


def test_what_a_fork_has_copied_was_used_in_its_origin() -> None:
    early, late = "2026-11-22T10:00:00.000Z", "2026-11-22T12:00:00.001Z"
    head = line("session_meta", late, id="x", forked_from_id="y", timestamp="2026-11-22T12:00:00.000Z")
    assert used(head, model("a"), count(10, early), count(30, early), count(37, late), count(40, late)) == {"a": 10}
    own = line("session_meta", late, id="x", timestamp="2026-11-22T12:00:00.000Z")
    assert used(own, model("a"), count(10, early)) == {"a": 10}


def test_what_only_looks_like_a_count_is_none() -> None:
    said = line("response_item", type="message", content=[{"text": '"token_count"'}])
    assert (
        used(said, b'{"type":"event_msg","payload":{"type":"token_count","info":nu', b"\xff", line("event_msg")) == {}
    )
    assert used(line("event_msg", type="token_count", info=None)) == {}
