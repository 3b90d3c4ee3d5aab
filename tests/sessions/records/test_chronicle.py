"""Everything that a file holds is told turn by turn, and where turns have ended."""

import json
from typing import Any

import pytest

from greenroom.sessions.records.chronicle import Chronicle, chronicle


def line(kind: str, **payload: Any) -> bytes:
    return json.dumps({"timestamp": "2026-11-22T11:44:02.472Z", "type": kind, "payload": payload}).encode() + b"\n"


def event(kind: str, **more: Any) -> bytes:
    return line("event_msg", type=kind, **more)


def said(role: str, text: str) -> bytes:
    kind = "output_text" if role == "assistant" else "input_text"
    return line("response_item", type="message", role=role, content=[{"type": kind, "text": text}])


META = line("session_meta", id="01a20312-0577-77d3-9bb9-ad78bbf82560", cwd="/x")
CONTEXT = said("user", "<environment_context>\n</environment_context>")
START, END, ABORTED = event("task_started"), event("task_complete"), event("turn_aborted", reason="interrupted")


def turn(number: int, end: bytes = END) -> list[bytes]:
    return [START, said("user", f"ask {number}"), said("assistant", f"answer {number}"), end]


def texts(found: Chronicle) -> list[tuple[int, str]]:
    return [(turn, item["content"][0]["text"]) for turn, item in found.told]  # type: ignore[index]


def size(*lines: bytes) -> int:
    return len(b"".join(lines))


def test_turns_are_counted_and_their_ends_known() -> None:
    first, second = turn(1), turn(2, ABORTED)
    found = chronicle([META, *first, *second])
    assert texts(found) == [(1, "ask 1"), (1, "answer 1"), (2, "ask 2"), (2, "answer 2")]
    assert found.ends == [size(META, *first), size(META, *first, *second)]


def test_further_input_belongs_to_the_turn_that_runs() -> None:
    found = chronicle([META, START, said("user", "a"), said("assistant", "b"), said("user", "c"), END])
    assert texts(found) == [(1, "a"), (1, "b"), (1, "c")]
    assert len(found.ends) == 1


def test_a_turn_that_runs_has_no_end_and_one_that_died_ends_where_the_next_begins() -> None:
    died = turn(1)[:-1]
    found = chronicle([META, *died, *turn(2)[:-1]])
    assert [turn for turn, _ in texts(found)] == [1, 1, 2, 2]
    assert found.ends == [size(META, *died)]


def test_what_was_compacted_away_is_told_all_the_same() -> None:
    found = chronicle([META, *turn(1), line("compacted", message="short", replacement_history=[]), *turn(2)])
    assert [turn for turn, _ in texts(found)] == [1, 1, 2, 2]


def test_what_was_rolled_back_is_not_told() -> None:
    kept, rolled = [META, *turn(1)], [*turn(2), *turn(3), event("thread_rolled_back", num_turns=2)]
    found = chronicle([*kept, *rolled, *turn(4)])
    assert texts(found) == [(1, "ask 1"), (1, "answer 1"), (2, "ask 4"), (2, "answer 4")]
    assert found.ends == [size(*kept, *rolled), size(*kept, *rolled, *turn(4))]
    assert chronicle([*kept, event("thread_rolled_back", num_turns=9)]) == Chronicle([], [], [])


def test_without_events_a_turn_begins_with_each_message_of_the_user() -> None:
    bare = [json.loads(text)["payload"] for text in (said("user", "a"), said("user", "b"), said("assistant", "c"))]
    lines = [json.dumps(item).encode() + b"\n" for item in (*bare, bare[0])]
    found = chronicle([b'{"id":"x","timestamp":"y"}\n', *lines])
    assert [turn for turn, _ in texts(found)] == [1, 1, 1, 2]


def test_only_patches_that_were_applied_are_changes() -> None:
    changes = {"/x/a": {"add": {"content": "a\n"}}}
    found = chronicle(
        [
            META,
            *turn(1)[:-1],
            event("patch_apply_end", success=True, changes=changes),
            event("patch_apply_end", success=False, changes=changes),
            event("patch_apply_end", success=True),
            END,
        ]
    )
    assert found.changes == [changes]


@pytest.mark.parametrize("status", ["completed", "failed", "declined", "in_progress"])
def test_only_patches_that_were_applied_are_changes_of_a_paginated_file(status: str) -> None:
    changes = {"/x/a": {"add": {"content": "a\n"}}}
    item = {"type": "FileChange", "id": "c", "changes": changes, "status": status}
    command = {"type": "CommandExecution", "id": "d", "status": status}
    lines = [META, *turn(1)[:-1], event("item_completed", item=item), event("item_completed", item=command), END]
    assert chronicle(lines).changes == ([changes] if status == "completed" else [])


def test_lines_of_no_form_are_passed_over_and_counted_in_offsets() -> None:
    odd = [b"\n", b"no json\n", b"[]\n", b'{"type":5}\n', line("event_msg"), line("unknown", a=1), b"\xff\n"]
    found = chronicle([META, *odd, CONTEXT, *turn(1), b'{"torn'])
    assert found.ends == [size(META, *odd, CONTEXT, *turn(1))]
    assert [turn for turn, _ in texts(found)] == [0, 1, 1]
