"""Turns and items are found again in files of every format."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.events import thread_item
from greenroom.sessions.records.thread_history import ThreadHistory, thread_history

META = {"id": "6f9619ff-8b86-4d01-b42d-00c04fc964ff", "timestamp": "2026-11-20T10:00:00.000Z", "cwd": "/work"}


def line(kind: str, /, **payload: Any) -> bytes:
    stamp = "2026-11-20T10:00:01.500Z"
    return msgspec.json.encode({"timestamp": stamp, "type": kind, "payload": payload}) + b"\n"


def event(kind: str, /, **members: Any) -> bytes:
    return line("event_msg", type=kind, **members)


def read(*lines: bytes) -> ThreadHistory:
    return thread_history([line("session_meta", **META), *lines])


def kinds(history: ThreadHistory) -> list[list[str]]:
    return [[type(stored.item).__name__ for stored in turn.items] for turn in history.turns]


CALL = line("response_item", type="function_call", name="exec_command", arguments='{"cmd":"ls"}', call_id="c")
TURN = (
    event("task_started", turn_id="t1", started_at=1),
    event("user_message", message="Hi", images=["http://x/y.png"]),
    event("agent_reasoning", text="Hm."),
    CALL,
    line(
        "response_item",
        type="function_call_output",
        call_id="c",
        output="Wall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nno such file",
    ),
    event("patch_apply_end", call_id="p", changes={"/a": {"type": "add", "content": "x"}}, success=True),
    event("mcp_tool_call_end", call_id="m", invocation={"server": "s", "tool": "t"}, result={"Err": "no"}),
    event("web_search_end", call_id="w", query="q", action={"type": "search", "query": "q"}),
    event("agent_message", message="Bye."),
    event("task_complete", turn_id="t1", completed_at=3, duration_ms=2000),
)


def test_flat_events_and_calls_become_items() -> None:
    history = read(*TURN)
    assert kinds(history) == [
        *[["UserMessage", "Reasoning", "CommandExecution", "FileChanges", "McpToolCall", "WebSearch", "AgentMessage"]]
    ]
    (turn,) = history.turns
    assert (turn.id, turn.state, turn.started_at, turn.completed_at, turn.duration_ms) == (
        "t1",
        "completed",
        1,
        3,
        2000,
    )
    command = turn.items[2].item
    assert isinstance(command, thread_item.CommandExecution)
    assert (command.command, command.status, command.exit_code) == (["bash", "-lc", "ls"], "failed", 2)
    assert command.aggregated_output == "no such file"
    assert history.meta.cwd == "/work"
    assert turn.items[0].at_ms == 1763632801500 + 31536000000


def test_ids_are_the_same_whenever_a_file_is_read() -> None:
    first, second = read(*TURN), read(*TURN)
    assert [stored.item.id for stored in first.turns[0].items] == [stored.item.id for stored in second.turns[0].items]


def test_items_of_a_paginated_file_are_taken_as_they_are() -> None:
    item = {"type": "CommandExecution", "id": "c", "command": ["ls"], "cwd": "file:///a", "status": "completed"}
    output = line("response_item", type="function_call_output", call_id="c", output="x")
    history = read(event("task_started", turn_id="t"), event("item_completed", item=item), CALL, output)
    assert kinds(history) == [["CommandExecution"]]
    (stored,) = history.turns[0].items
    assert isinstance(stored.item, thread_item.CommandExecution)
    assert stored.item.directory == "/a"


@pytest.mark.parametrize(
    ("end", "state"),
    [
        ((), "open"),
        ((event("turn_aborted", reason="interrupted"),), "interrupted"),
        ((event("task_complete", error={"message": "No.", "codex_error_info": "other"}),), "failed"),
    ],
)
def test_a_turn_tells_how_it_ended(end: tuple[bytes, ...], state: str) -> None:
    (turn,) = read(event("task_started", turn_id="t"), *end).turns
    assert turn.state == state
    assert turn.fault == ("No." if state == "failed" else None)


def test_turns_that_were_rolled_back_are_left_out() -> None:
    begun = [event("task_started", turn_id=str(number)) for number in range(3)]
    assert [turn.id for turn in read(*begun, event("thread_rolled_back", num_turns=2)).turns] == ["0"]


def test_a_file_of_august_2025_has_turns_too() -> None:
    def message(role: str, text: str) -> bytes:
        kind = "input_text" if role == "user" else "output_text"
        content = [{"type": kind, "text": text}]
        return msgspec.json.encode({"type": "message", "role": role, "content": content}) + b"\n"

    lines = [message("user", "one"), message("assistant", "1"), message("user", "two"), message("assistant", "2")]
    history = thread_history([msgspec.json.encode(META) + b"\n", *lines])
    assert kinds(history) == [["UserMessage", "AgentMessage"]] * 2
    assert history.meta.id == META["id"]


@given(st.lists(st.sampled_from([*TURN, b"", b"rubbish\n", b"[]\n", line("event_msg"), event("x")]) | st.binary()))
def test_lines_that_tell_nothing_are_passed_over(lines: list[bytes]) -> None:
    telling = [stored for stored in lines if stored in TURN]
    assert kinds(read(*lines)) == kinds(read(*telling))


def test_a_torn_file_is_read_to_its_end(tmp_path: Path) -> None:
    assert kinds(read(*TURN[:2], TURN[2][:-20])) == [["UserMessage"]]
