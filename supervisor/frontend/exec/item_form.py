"""Renders items in the form of `greenroom.protocol.exec_events`. Free of I/O."""

from functools import singledispatch

from greenroom.protocol import exec_events as wire
from greenroom.protocol.events import thread_item as neutral
from greenroom.protocol.events.file_change import AddedFile, DeletedFile, FileChange
from greenroom.protocol.items import JsonObject
from greenroom.protocol.quoting import shell_join


@singledispatch
def render_exec_item(item: neutral.Item, item_id: str) -> wire.AnyExecItem | None:
    """Return an item under another id; `None` for one that has no form here, and for an empty text."""
    del item, item_id
    return None


@render_exec_item.register
def _(item: neutral.AgentMessage, item_id: str) -> wire.AnyExecItem | None:
    return wire.ExecAgentMessageItem(id=item_id, text=item.text) if item.text else None


@render_exec_item.register
def _(item: neutral.Reasoning, item_id: str) -> wire.AnyExecItem | None:
    text = "\n".join(item.summary_text or item.raw_content)
    return wire.ExecReasoningItem(id=item_id, text=text) if text else None


@render_exec_item.register
def _(item: neutral.CommandExecution, item_id: str) -> wire.AnyExecItem | None:
    return wire.ExecCommandExecutionItem(
        id=item_id,
        command=shell_join(item.command),
        aggregated_output=item.aggregated_output or "",
        exit_code=item.exit_code,
        status=item.status,
    )


@render_exec_item.register
def _(item: neutral.FileChanges, item_id: str) -> wire.AnyExecItem | None:
    changes = [_change(path, change) for path, change in sorted(item.changes.items())]
    return wire.ExecFileChangeItem(id=item_id, changes=changes, status=item.status)


@render_exec_item.register
def _(item: neutral.McpToolCall, item_id: str) -> wire.AnyExecItem | None:
    return wire.ExecMcpToolCallItem(
        id=item_id,
        server=item.server,
        tool=item.tool,
        arguments=item.arguments,
        result=None if item.result is None else _result(item.result),
        error=None if item.fault is None else wire.ExecErrorText(item.fault),
        status="in_progress" if item.status == "inProgress" else item.status,
    )


@render_exec_item.register
def _(item: neutral.WebSearch, item_id: str) -> wire.AnyExecItem | None:
    return wire.ExecWebSearchItem(id=item_id, query=item.query, action=item.action)


def is_text(item: neutral.AnyItem) -> bool:
    """Tell whether an item is only told of once it is complete."""
    return isinstance(item, neutral.AgentMessage | neutral.Reasoning)


def _change(path: str, change: FileChange) -> wire.ExecFileUpdateChange:
    match change:
        case AddedFile():
            return wire.ExecFileUpdateChange(path, "add")
        case DeletedFile():
            return wire.ExecFileUpdateChange(path, "delete")
        case _:
            return wire.ExecFileUpdateChange(path, "update")


def _result(result: JsonObject) -> wire.ExecMcpToolResult:
    content = result.get("content")
    structured = result.get("structuredContent", result.get("structured_content"))
    return wire.ExecMcpToolResult(content if isinstance(content, list) else [], structured)
