"""The items of a thread, each with a beginning and an end, as they follow from flat events. Free of I/O.

Clients from October 2025 on read items; older ones read the flat events, each of which describes one item.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias

from msgspec import UNSET

from greenroom.protocol.events.command import ExecCommandBegin, ExecCommandEnd
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.mcp import McpToolCallBegin, McpToolCallEnd
from greenroom.protocol.events.patch import PatchApplyBegin, PatchApplyEnd
from greenroom.protocol.events.text import UserMessage
from greenroom.protocol.events.tool import ViewImageToolCall, WebSearchBegin, WebSearchEnd
from greenroom.protocol.events.turn import ContextCompacted
from greenroom.protocol.ids import uuid7
from greenroom.protocol.items import JsonObject

Phase: TypeAlias = Literal["started", "completed", "whole"]
"""Whether an event begins its item, ends it, or does both."""

PHASES: Final[Mapping[type[Event], Phase]] = {
    UserMessage: "whole",
    ContextCompacted: "whole",
    ExecCommandBegin: "started",
    ExecCommandEnd: "completed",
    PatchApplyBegin: "started",
    PatchApplyEnd: "completed",
    McpToolCallBegin: "started",
    McpToolCallEnd: "completed",
    WebSearchBegin: "started",
    WebSearchEnd: "completed",
    ViewImageToolCall: "whole",
}
"""The flat events that determine an item. The items of texts are made from the model's own items."""


def agent_message_item(item_id: str, texts: list[str], phase: object = None) -> JsonObject:
    """Return the item of a text of the agent."""
    content = [{"type": "Text", "text": text} for text in texts]
    return {"type": "AgentMessage", "id": item_id, "content": content, "phase": phase, "memory_citation": None}


def reasoning_item(item_id: str, summary: list[str], raw: list[str]) -> JsonObject:
    """Return the item of a piece of the model's reasoning."""
    return {"type": "Reasoning", "id": item_id, "summary_text": summary, "raw_content": raw}


def item_of(event: Event) -> JsonObject:
    """Return the item of an event of `PHASES`, as far as the event describes it."""
    match event:
        case UserMessage():
            content = [{"type": "text", "text": event.message, "text_elements": []}]
            return {"type": "UserMessage", "id": uuid7(), "content": content}
        case ContextCompacted():
            return {"type": "ContextCompaction", "id": uuid7()}
        case ExecCommandBegin() | ExecCommandEnd():
            return _command(event)
        case PatchApplyBegin() | PatchApplyEnd():
            return _file_change(event)
        case McpToolCallBegin() | McpToolCallEnd():
            return _mcp_call(event)
        case ViewImageToolCall():
            return {"type": "ImageView", "id": event.call_id, "path": _uri(event.path)}
        case WebSearchBegin() | WebSearchEnd():
            action = event.action if isinstance(event, WebSearchEnd) else None
            return {"type": "WebSearch", "id": event.call_id, "query": event.query, "action": action}
    raise TypeError(f"{type(event).__name__} has no item")


def _command(event: ExecCommandBegin | ExecCommandEnd) -> JsonObject:
    item: JsonObject = {
        "type": "CommandExecution",
        "id": event.call_id,
        "command": event.command,
        "cwd": _uri(event.cwd),
        "parsed_cmd": event.parsed_cmd,
        "source": event.source,
        "status": event.status if isinstance(event, ExecCommandEnd) else "in_progress",
    }
    if event.process_id is not UNSET:
        item["process_id"] = event.process_id
    if isinstance(event, ExecCommandEnd):
        item |= {
            "stdout": event.stdout,
            "stderr": event.stderr,
            "aggregated_output": event.aggregated_output,
            "exit_code": event.exit_code,
            "duration": event.duration,
            "formatted_output": event.formatted_output,
        }
    return item


def _file_change(event: PatchApplyBegin | PatchApplyEnd) -> JsonObject:
    item: JsonObject = {"type": "FileChange", "id": event.call_id, "changes": event.changes}
    if isinstance(event, PatchApplyBegin):
        return {**item, "status": "in_progress", "auto_approved": event.auto_approved}
    return {**item, "status": event.status, "stdout": event.stdout, "stderr": event.stderr}


def _mcp_call(event: McpToolCallBegin | McpToolCallEnd) -> JsonObject:
    call = event.invocation
    item: JsonObject = {
        "type": "McpToolCall",
        "id": event.call_id,
        "server": call.server,
        "tool": call.tool,
        "arguments": call.arguments,
    }
    if isinstance(event, McpToolCallBegin):
        return {**item, "status": "inProgress"}
    failed = "Err" in event.result
    outcome = {"error": {"message": event.result["Err"]}} if failed else {"result": event.result["Ok"]}
    return {**item, "status": "failed" if failed else "completed", **outcome, "duration": event.duration}


def _uri(path: str) -> str:
    return PurePosixPath(path).as_uri() if path.startswith("/") else path
