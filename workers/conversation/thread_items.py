"""The items of a thread, each with a beginning and an end, as they follow from flat events. Free of I/O.

Clients from October 2025 on read items; older ones read the flat events, each of which describes one item.
"""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple, TypeAlias

from greenroom.protocol.ids import uuid7
from greenroom.protocol.items import JsonObject

Phase: TypeAlias = Literal["started", "completed", "whole"]
"""Whether an event begins its item, ends it, or does both."""


class Aspect(NamedTuple):
    """The relation of one type of event to its item."""

    phase: Phase
    describe: Callable[[JsonObject], JsonObject]


def agent_message(item_id: str, texts: list[str], phase: object = None) -> JsonObject:
    """Return the item of a text of the agent."""
    content = [{"type": "Text", "text": text} for text in texts]
    return {"type": "AgentMessage", "id": item_id, "content": content, "phase": phase, "memory_citation": None}


def reasoning(item_id: str, summary: list[str], raw: list[str]) -> JsonObject:
    """Return the item of a piece of the model's reasoning."""
    return {"type": "Reasoning", "id": item_id, "summary_text": summary, "raw_content": raw}


def _user_message(event: JsonObject) -> JsonObject:
    content = [{"type": "text", "text": event["message"], "text_elements": []}]
    return {"type": "UserMessage", "id": uuid7(), "content": content}


def _compaction(_: JsonObject) -> JsonObject:
    return {"type": "ContextCompaction", "id": uuid7()}


def _command(event: JsonObject) -> JsonObject:
    return {
        "type": "CommandExecution",
        "id": event["call_id"],
        "command": event["command"],
        "cwd": _uri(event["cwd"]),
        "parsed_cmd": event["parsed_cmd"],
        "source": event["source"],
        "status": event.get("status", "in_progress"),
        **_members(event, "process_id", "stdout", "stderr", "aggregated_output", "exit_code", "duration"),
        **_members(event, "formatted_output"),
    }


def _file_change(event: JsonObject) -> JsonObject:
    return {
        "type": "FileChange",
        "id": event["call_id"],
        "changes": event["changes"],
        "status": event.get("status", "in_progress"),
        **_members(event, "auto_approved", "stdout", "stderr"),
    }


def _mcp_call(event: JsonObject) -> JsonObject:
    invocation = event["invocation"]
    result = event.get("result")
    outcome: JsonObject = {"status": "inProgress"}
    match result:
        case {"Ok": ok}:
            outcome = {"status": "completed", "result": ok}
        case {"Err": text}:
            outcome = {"status": "failed", "error": {"message": text}}
    facts: Mapping[str, object] = invocation if isinstance(invocation, dict) else {}
    return {"type": "McpToolCall", "id": event["call_id"], **facts, **outcome, **_members(event, "duration")}


def _image_view(event: JsonObject) -> JsonObject:
    return {"type": "ImageView", "id": event["call_id"], "path": _uri(event["path"])}


def _web_search(event: JsonObject) -> JsonObject:
    query, action = event.get("query", ""), event.get("action")
    return {"type": "WebSearch", "id": event["call_id"], "query": query, "action": action}


ASPECTS: Final[Mapping[str, Aspect]] = {
    "user_message": Aspect("whole", _user_message),
    "context_compacted": Aspect("whole", _compaction),
    "exec_command_begin": Aspect("started", _command),
    "exec_command_end": Aspect("completed", _command),
    "patch_apply_begin": Aspect("started", _file_change),
    "patch_apply_end": Aspect("completed", _file_change),
    "mcp_tool_call_begin": Aspect("started", _mcp_call),
    "mcp_tool_call_end": Aspect("completed", _mcp_call),
    "web_search_begin": Aspect("started", _web_search),
    "web_search_end": Aspect("completed", _web_search),
    "view_image_tool_call": Aspect("whole", _image_view),
}
"""The flat events that determine an item. The items of texts are made from the model's own items."""


def _members(event: JsonObject, *names: str) -> JsonObject:
    return {name: event[name] for name in names if name in event}


def _uri(path: object) -> str:
    text = str(path)
    return PurePosixPath(text).as_uri() if text.startswith("/") else text
