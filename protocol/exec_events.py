"""The lines that `greenroom exec --json` writes, in the form of `codex exec --json`: one event a line.

Members that are `None` are written as `null`, as there, but for those that only some events have.
"""

from typing import Any, Literal, TypeAlias

import msgspec

ExecItemStatus: TypeAlias = Literal["in_progress", "completed", "failed", "declined"]


class ExecItem(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of all items."""

    id: str
    """Unique in its run; counted from `item_0`."""


class ExecAgentMessageItem(ExecItem, frozen=True, tag="agent_message"):
    """A text of the agent."""

    text: str


class ExecReasoningItem(ExecItem, frozen=True, tag="reasoning"):
    """A summary of the model's reasoning."""

    text: str


class ExecCommandExecutionItem(ExecItem, frozen=True, tag="command_execution"):
    """A command."""

    command: str
    """In shell quoting."""
    aggregated_output: str = ""
    """Standard output and error, as they came."""
    exit_code: int | None = None
    """`None` while it runs, and where it did not end by itself."""
    status: ExecItemStatus = "in_progress"
    """`failed` also where the exit code is not 0."""


class ExecFileUpdateChange(msgspec.Struct, frozen=True):
    """What a patch does to one file."""

    path: str
    """Absolute."""
    kind: Literal["add", "delete", "update"]


class ExecFileChangeItem(ExecItem, frozen=True, tag="file_change"):
    """A patch."""

    changes: list[ExecFileUpdateChange]
    status: ExecItemStatus = "in_progress"


class ExecMcpToolResult(msgspec.Struct, frozen=True):
    """What a tool has answered."""

    content: list[Any]
    structured_content: Any = None


class ExecErrorText(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong."""

    message: str
    kind: str | None = None
    """For programs; only where Greenroom itself knows it (`greenroom.protocol.errors.ErrorKind`)."""


class ExecMcpToolCallItem(ExecItem, frozen=True, tag="mcp_tool_call"):
    """A call of a tool of an MCP server."""

    server: str
    tool: str
    arguments: Any = None
    result: ExecMcpToolResult | None = None
    error: ExecErrorText | None = None
    status: ExecItemStatus = "in_progress"


class ExecWebSearchItem(ExecItem, frozen=True, tag="web_search"):
    """A search by the model's server."""

    query: str
    action: Any = None


class ExecTodoEntry(msgspec.Struct, frozen=True):
    """One step of a plan."""

    text: str
    completed: bool


class ExecTodoListItem(ExecItem, frozen=True, tag="todo_list"):
    """The model's plan. Updated when it changes, completed with the turn."""

    items: list[ExecTodoEntry]


class ExecErrorItem(ExecItem, frozen=True, tag="error"):
    """Something that the user should know, and that ends nothing."""

    message: str


AnyExecItem: TypeAlias = (
    ExecAgentMessageItem
    | ExecReasoningItem
    | ExecCommandExecutionItem
    | ExecFileChangeItem
    | ExecMcpToolCallItem
    | ExecWebSearchItem
    | ExecTodoListItem
    | ExecErrorItem
)


class ExecEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of all events."""


class ExecThreadStarted(ExecEvent, frozen=True, tag="thread.started"):
    """The conversation is open. Always the first event."""

    thread_id: str


class ExecTurnStarted(ExecEvent, frozen=True, tag="turn.started"):
    """The turn begins."""


class ExecUsage(msgspec.Struct, frozen=True):
    """Tokens of the conversation so far, its earlier turns included."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0


class ExecTurnCompleted(ExecEvent, frozen=True, tag="turn.completed"):
    """The turn has ended by itself."""

    usage: ExecUsage


class ExecTurnFailed(ExecEvent, frozen=True, tag="turn.failed"):
    """The turn has ended otherwise."""

    error: ExecErrorText


class ExecItemStarted(ExecEvent, frozen=True, tag="item.started"):
    """An item begins. Texts have no beginning."""

    item: AnyExecItem


class ExecItemUpdated(ExecEvent, frozen=True, tag="item.updated"):
    """An item has changed."""

    item: AnyExecItem


class ExecItemCompleted(ExecEvent, frozen=True, tag="item.completed"):
    """An item has ended."""

    item: AnyExecItem


class ExecStreamError(ExecEvent, frozen=True, tag="error"):
    """The turn fails, or a request to the model is repeated."""

    message: str


AnyExecEvent: TypeAlias = (
    ExecThreadStarted
    | ExecTurnStarted
    | ExecTurnCompleted
    | ExecTurnFailed
    | ExecItemStarted
    | ExecItemUpdated
    | ExecItemCompleted
    | ExecStreamError
)
