"""Clients of every release are told in the form that they know, in the order in which things happen."""

import base64
from typing import Any

import pytest

from greenroom.protocol.choices import DELTA_EVENTS, EventForm
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.file_change import AddedFile, ChangesByPath, DeletedFile, UpdatedFile
from greenroom.protocol.events.item import ItemCompleted
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.events.event import user_message
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.events.event_form import LATER_EVENTS
from greenroom.workers.conversation.events.thread_items import PHASES
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.responses import Completed
from tests.support.events import event
from tests.workers.stubs import USAGE, StubMailbox

PLACE = {"thread_id": "c", "turn_id": "t"}
COMMAND: JsonObject = {
    "turn_id": "t",
    "call_id": "call_1",
    "command": ["echo", "hi"],
    "cwd": "/home/ada/my shop",
    "parsed_cmd": [{"type": "unknown", "cmd": "echo hi"}],
    "source": "agent",
}
CHANGES: ChangesByPath = {
    "/a": AddedFile("x"),
    "/d": DeletedFile("old"),
    "/u": UpdatedFile("@@", None),
}


class Ears(StubMailbox):
    """What is heard of one turn."""

    def __init__(self, form: EventForm = "current") -> None:
        super().__init__()
        self.announcer = EventEmitter(self, ConversationId("c"), form)
        self.announcer.begin_turn(TurnId("t"))

    def items(self, kind: str) -> list[dict[str, Any]]:
        return [told["item"] for told in self.events if told["type"] == kind]


def test_a_command_is_an_item_that_begins_and_ends_around_its_own_events() -> None:
    ears = Ears()
    ears.announcer.emit_now(event("exec_command_begin", **COMMAND))
    ended = {"status": "failed", "exit_code": 2, "stdout": "", "stderr": "no", "duration": {"secs": 0, "nanos": 1}}
    ended |= {"aggregated_output": "no", "formatted_output": "no"}
    ears.announcer.emit_now(event("exec_command_end", **COMMAND, **ended))
    assert ears.kinds == ["item_started", "exec_command_begin", "item_completed", "exec_command_end"]
    started, begin, completed, end = ears.events
    assert {**PLACE, "item": started["item"]}.items() <= started.items()
    assert started["item"] == {
        "type": "CommandExecution",
        "id": "call_1",
        "command": ["echo", "hi"],
        "cwd": "file:///home/ada/my%20shop",
        "parsed_cmd": COMMAND["parsed_cmd"],
        "source": "agent",
        "status": "in_progress",
    }
    assert completed["item"] == {**started["item"], **ended}
    assert completed["started_at_ms"] == started["started_at_ms"] <= completed["completed_at_ms"]
    assert begin["cwd"] == "/home/ada/my shop", "the flat event keeps the plain path"
    assert begin["turn_id"] == end["turn_id"] == "t"
    assert begin["started_at_ms"] <= end["completed_at_ms"]


def test_a_streamed_text_is_one_item_under_both_names() -> None:
    ears = Ears()
    for piece in (b'"Good "', rb'"\u00e9"'):
        ears.announcer.text_delta(piece)
    ears.announcer.complete_message(["Good \u00e9"], "final_answer")
    assert ears.kinds == ["item_started", *["agent_message_delta", "agent_message_content_delta"] * 2, "item_completed"]
    (item_id,) = {told["item_id"] for told in ears.events if told["type"] == "agent_message_content_delta"}
    (started,), (completed,) = ears.items("item_started"), ears.items("item_completed")
    assert started["id"] == completed["id"] == item_id
    assert completed["content"] == [{"type": "Text", "text": "Good \u00e9"}]
    assert ears.events[2] == {"type": "agent_message_content_delta", **PLACE, "item_id": item_id, "delta": "Good "}


def test_reasoning_tells_in_which_section_a_piece_is() -> None:
    ears = Ears()
    for piece in (b'"a"', b'"b"'):
        ears.announcer.section_break()
        ears.announcer.reasoning_delta(piece)
    ears.announcer.raw_reasoning_delta(b'"c"')
    ears.announcer.complete_reasoning(["a", "b"], ["c"])
    pieces = [
        (told["delta"], told["summary_index"]) for told in ears.events if told["type"] == "reasoning_content_delta"
    ]
    assert pieces == [("a", 0), ("b", 1)]
    assert ears.events[-2]["content_index"] == 0
    (whole,) = ears.items("item_completed")
    assert (whole["summary_text"], whole["raw_content"]) == (["a", "b"], ["c"])


def test_what_was_not_streamed_begins_and_ends_at_once() -> None:
    ears = Ears()
    ears.announcer.emit_now(user_message("hello"))
    ears.announcer.complete_message(["hi"], None)
    ears.announcer.complete_reasoning(["why"], [])
    ears.announcer.emit_now(event("context_compacted"))
    assert [item["type"] for item in ears.items("item_completed")] == [
        "UserMessage",
        "AgentMessage",
        "Reasoning",
        "ContextCompaction",
    ]
    assert [item["id"] for item in ears.items("item_started")] == [item["id"] for item in ears.items("item_completed")]


def test_a_text_that_is_begun_again_is_another_item() -> None:
    ears = Ears()
    ears.announcer.text_delta(b'"lost"')
    ears.announcer.forget_pieces()
    ears.announcer.text_delta(b'"kept"')
    first, second = ears.items("item_started")
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"Ok": {"content": []}}, {"status": "completed", "result": {"content": []}}),
        ({"Err": "no"}, {"status": "failed", "error": {"message": "no"}}),
    ],
)
def test_a_call_of_a_server_is_an_item_with_its_outcome(result: JsonObject, outcome: JsonObject) -> None:
    ears = Ears()
    facts = {"turn_id": "t", "call_id": "m", "invocation": {"server": "docs", "tool": "find", "arguments": {"q": 1}}}
    ears.announcer.emit_now(event("mcp_tool_call_begin", **facts))
    ears.announcer.emit_now(event("mcp_tool_call_end", **facts, result=result))
    (completed,) = ears.items("item_completed")
    expected = {"type": "McpToolCall", "id": "m", "server": "docs", "tool": "find", "arguments": {"q": 1}, **outcome}
    assert completed == {**expected, "duration": {"secs": 0, "nanos": 0}}
    assert ears.events[1]["turn_id"] == "t"


def test_the_items_of_the_history_and_the_end_of_a_response_are_told_as_they_are() -> None:
    ears = Ears()
    item: JsonObject = {"type": "function_call", "call_id": "1", "name": "shell", "arguments": "{}"}
    ears.announcer.raw_item(item)
    ears.announcer.response_completed(Completed("resp_1", USAGE, end_turn=True))
    raw, completed = ears.events
    assert raw == {"type": "raw_response_item", "item": item}
    assert (completed["response_id"], completed["token_usage"]["total_tokens"]) == ("resp_1", 15)


def test_a_client_of_august_2025_is_told_only_what_it_knows() -> None:
    ears = Ears("baseline")
    ears.announcer.emit_now(event("exec_command_begin", **COMMAND))
    chunk = base64.b64encode(b"hi\n").decode()
    ears.announcer.emit_now(event("exec_command_output_delta", chunk=chunk))
    ears.announcer.emit_now(event("patch_apply_begin", changes=CHANGES))
    ears.announcer.emit_now(TokenCounter(1000).add(USAGE))
    ears.announcer.text_delta(b'"x"')
    ears.announcer.complete_message(["x"], None)
    ears.announcer.raw_item({"type": "message"})
    assert not {model.__struct_config__.tag for model in LATER_EVENTS} & set(ears.kinds)
    _, output, patch, count, delta = ears.events
    assert output["chunk"] == [104, 105, 10]
    assert patch["changes"] == {
        "/a": {"add": {"content": "x"}},
        "/d": "delete",
        "/u": {"update": {"unified_diff": "@@", "move_path": None}},
    }
    counters = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens")
    assert set(count) == {"type", *counters}
    assert delta == {"type": "agent_message_delta", "delta": "x"}


def test_every_item_that_begins_has_an_event_that_ends_it() -> None:
    begun, ended = (
        {str(model.__struct_config__.tag).rpartition("_")[0] for model in PHASES if PHASES[model] == phase}
        for phase in ("started", "completed")
    )
    assert begun == ended


def test_a_command_that_ends_in_a_later_turn_keeps_its_own() -> None:
    ears = Ears()
    ears.announcer.emit_now(event("exec_command_begin", **COMMAND))
    ears.announcer.begin_turn(TurnId("later"))
    ears.announcer.emit_now(event("exec_command_end", **COMMAND, status="completed"))
    assert [told["turn_id"] for told in ears.events if told["type"] == "exec_command_end"] == ["t"]


@pytest.mark.parametrize("form", ["current", "baseline"])
def test_items_are_complete_for_the_session_file_whatever_form_the_client_knows(form: EventForm) -> None:
    observed: list[Event] = []
    mailbox = StubMailbox()
    emitter = EventEmitter(mailbox, ConversationId("c"), form, observed.append)
    emitter.begin_turn(TurnId("t"))
    emitter.emit_now(user_message("hello"))
    emitter.text_delta(b'"Good day."')
    emitter.complete_message(["Good day."], None)
    emitter.emit_now(event("exec_command_begin", **COMMAND))
    emitter.emit_now(event("exec_command_end", **COMMAND, status="completed"))
    items = [told.item for told in observed if isinstance(told, ItemCompleted)]
    assert [item["type"] for item in items] == ["UserMessage", "AgentMessage", "CommandExecution"]
    assert ("item_completed" in mailbox.kinds) == (form == "current")


def test_nothing_is_made_of_deltas_without_a_use_and_everything_else_is_told() -> None:
    """The same is said to two emitters; the one without a use for deltas leaves out those, and no other event."""
    full, sparse = Ears(), Ears()
    sparse.announcer.wants_deltas = False
    for ears in (full, sparse):
        ears.announcer.reasoning_delta(b'"Let me"')
        ears.announcer.raw_reasoning_delta(b'"see"')
        ears.announcer.complete_reasoning(["Let me"], ["see"])
        ears.announcer.text_delta(b'"Hel"')
        ears.announcer.text_delta(b'"lo"')
        ears.announcer.complete_message(["Hello"], None)
        ears.announcer.raw_item({"type": "message", "role": "assistant", "content": []})
        ears.announcer.emit_now(event("exec_command_output_delta", call_id="c", stream="stdout", chunk="aGk="))
        ears.announcer.emit_now(event("agent_message", message="Hello"))
    assert set(full.kinds) >= DELTA_EVENTS
    assert sparse.kinds == [kind for kind in full.kinds if kind not in DELTA_EVENTS]


def test_deltas_are_told_from_the_moment_on_in_which_there_is_a_use_for_them() -> None:
    ears = Ears()
    ears.announcer.wants_deltas = False
    ears.announcer.text_delta(b'"Hel"')
    ears.announcer.wants_deltas = True
    ears.announcer.text_delta(b'"lo"')
    assert ears.kinds == ["item_started", "agent_message_delta", "agent_message_content_delta"]
    assert ears.events[-1]["item_id"] == ears.items("item_started")[0]["id"]
