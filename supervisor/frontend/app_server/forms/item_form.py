"""Renders the items of a conversation as items of this protocol."""

import shlex
from collections.abc import Mapping
from functools import singledispatch
from typing import Final

from greenroom.protocol.app_server import item as wire
from greenroom.protocol.events import thread_item as neutral
from greenroom.protocol.events.event import Duration
from greenroom.protocol.events.file_change import AddedFile, DeletedFile, FileChange, UpdatedFile
from greenroom.protocol.items import JsonObject, as_list

_STATUS: Final[Mapping[str, wire.ItemStatus]] = {
    "in_progress": "inProgress",
    "completed": "completed",
    "failed": "failed",
    "declined": "declined",
}
_SOURCES: Final[Mapping[str, str]] = {
    "agent": "agent",
    "user_shell": "userShell",
    "unified_exec_startup": "unifiedExecStartup",
    "unified_exec_interaction": "unifiedExecInteraction",
}


@singledispatch
def render_thread_item(item: neutral.AnyItem) -> wire.ThreadItem:
    """Return an item in the form of this protocol."""
    raise NotImplementedError(type(item))


def changes_of(changes: Mapping[str, FileChange]) -> list[wire.FileUpdateChange]:
    """Return the changes of a patch, by path."""
    return [_change(path, change) for path, change in sorted(changes.items())]


def actions_of(parts: list[JsonObject], whole: str) -> list[wire.CommandAction]:
    """Return what the parts of a command do; that of a command without parts is unknown."""
    return [_action(part) for part in parts] or [wire.UnknownAction(command=whole)]


def duration_milliseconds(duration: Duration | None) -> int | None:
    """Return a duration in milliseconds."""
    return None if duration is None else duration.secs * 1000 + duration.nanos // 1_000_000


@render_thread_item.register
def _(item: neutral.UserMessage) -> wire.ThreadItem:
    return wire.UserMessageItem(id=item.id, content=_inputs(item))


@render_thread_item.register
def _(item: neutral.AgentMessage) -> wire.ThreadItem:
    return wire.AgentMessageItem(id=item.id, text=item.text, phase=item.phase)


@render_thread_item.register
def _(item: neutral.Reasoning) -> wire.ThreadItem:
    return wire.ReasoningItem(id=item.id, summary=item.summary_text, content=item.raw_content)


@render_thread_item.register
def _(item: neutral.FileChanges) -> wire.ThreadItem:
    return wire.FileChangeItem(id=item.id, changes=changes_of(item.changes), status=_STATUS[item.status])


@render_thread_item.register
def _(item: neutral.WebSearch) -> wire.ThreadItem:
    return wire.WebSearchItem(id=item.id, query=item.query, action=_web_action(item.action))


@render_thread_item.register
def _(item: neutral.ImageView) -> wire.ThreadItem:
    return wire.ImageViewItem(id=item.id, path=item.file)


@render_thread_item.register
def _(item: neutral.ContextCompaction) -> wire.ThreadItem:
    return wire.ContextCompactionItem(id=item.id)


@render_thread_item.register
def _(item: neutral.Plan) -> wire.ThreadItem:
    return wire.PlanItem(id=item.id, text=item.text)


@render_thread_item.register
def _(item: neutral.EnteredReviewMode) -> wire.ThreadItem:
    return wire.EnteredReviewModeItem(id=item.id, review=_review(item.review))


@render_thread_item.register
def _(item: neutral.ExitedReviewMode) -> wire.ThreadItem:
    return wire.ExitedReviewModeItem(id=item.id, review=_review(item.review))


def _inputs(item: neutral.UserMessage) -> list[wire.UserInputPart]:
    content: list[wire.UserInputPart] = []
    for part in item.content:
        match part:
            case {"type": "text", "text": str(text)}:
                content.append(wire.TextInput(text=text, text_elements=as_list(part.get("text_elements"))))
            case {"type": "image", "image_url": str(url)}:
                content.append(wire.ImageInput(url=url))
            case {"type": "local_image", "path": str(path)}:
                content.append(wire.LocalImageInput(path=path))
    return content


@render_thread_item.register
def _(item: neutral.CommandExecution) -> wire.ThreadItem:
    text = shlex.join(item.command)
    return wire.CommandExecutionItem(
        id=item.id,
        command=text,
        cwd=item.directory,
        command_actions=actions_of(item.parsed_cmd, text),
        status=_STATUS[item.status],
        source=_SOURCES.get(item.source, "agent"),
        process_id=item.process_id,
        aggregated_output=item.aggregated_output,
        exit_code=item.exit_code,
        duration_ms=duration_milliseconds(item.duration),
    )


def _action(part: JsonObject) -> wire.CommandAction:
    match part:
        case {"type": "read", "cmd": str(command), "name": str(name), "path": str(path)}:
            return wire.ReadAction(command=command, name=name, path=path)
        case {"type": "list_files", "cmd": str(command)}:
            return wire.ListFilesAction(command=command, path=_text(part.get("path")))
        case {"type": "search", "cmd": str(command)}:
            return wire.SearchAction(command=command, query=_text(part.get("query")), path=_text(part.get("path")))
    return wire.UnknownAction(command=str(part.get("cmd", "")))


def _change(path: str, change: FileChange) -> wire.FileUpdateChange:
    match change:
        case AddedFile():
            return wire.FileUpdateChange(path=path, kind=wire.AddKind(), diff=change.content)
        case DeletedFile():
            return wire.FileUpdateChange(path=path, kind=wire.DeleteKind(), diff=change.content)
        case UpdatedFile():
            kind = wire.UpdateKind(move_path=change.move_path)
            return wire.FileUpdateChange(path=path, kind=kind, diff=change.unified_diff)


@render_thread_item.register
def _(item: neutral.McpToolCall) -> wire.ThreadItem:
    result = item.result
    return wire.McpToolCallItem(
        id=item.id,
        server=item.server,
        tool=item.tool,
        arguments=item.arguments,
        status=item.status,
        result=None if result is None else _mcp_result(result),
        error=None if item.fault is None else wire.McpToolCallError(message=item.fault),
        duration_ms=duration_milliseconds(item.duration),
    )


def _mcp_result(result: JsonObject) -> wire.McpToolCallResult:
    structured = result.get("structuredContent", result.get("structured_content"))
    return wire.McpToolCallResult(
        content=as_list(result.get("content")), structured_content=structured, meta=result.get("_meta")
    )


def _web_action(action: JsonObject | None) -> wire.WebSearchAction | None:
    match action:
        case None:
            return None
        case {"type": "search"}:
            queries = [str(query) for query in as_list(action.get("queries"))]
            return wire.SearchWebAction(query=_text(action.get("query")), queries=queries or None)
        case {"type": "open_page"}:
            return wire.OpenPageAction(url=_text(action.get("url")))
        case {"type": "find_in_page"}:
            return wire.FindInPageAction(url=_text(action.get("url")), pattern=_text(action.get("pattern")))
    return wire.OtherWebAction()


def _review(review: str | JsonObject | None) -> str:
    match review:
        case str():
            return review
        case {"user_facing_hint": str(text)} | {"overall_explanation": str(text)}:
            return text
    return ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
