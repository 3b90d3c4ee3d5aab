"""The lines that `greenroom exec --json` writes, in the form of `codex exec --json`: one event a line.

Members that are `None` are written as `null`, as there, but for those that only some events have.
"""

from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["in_progress", "completed", "failed", "declined"]


class ExecItem(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of all items."""

    id: str
    """Unique in its run; counted from `item_0`."""


class AgentMessageItem(ExecItem, frozen=True, tag="agent_message"):
    """A text of the agent."""

    text: str


class ReasoningItem(ExecItem, frozen=True, tag="reasoning"):
    """A summary of the model's reasoning."""

    text: str


class CommandExecutionItem(ExecItem, frozen=True, tag="command_execution"):
    """A command."""

    command: str
    """In shell quoting."""
    aggregated_output: str = ""
    """Standard output and error, as they came."""
    exit_code: int | None = None
    """`None` while it runs, and where it did not end by itself."""
    status: Status = "in_progress"
    """`failed` also where the exit code is not 0."""


class FileUpdateChange(msgspec.Struct, frozen=True):
    """What a patch does to one file."""

    path: str
    """Absolute."""
    kind: Literal["add", "delete", "update"]


class FileChangeItem(ExecItem, frozen=True, tag="file_change"):
    """A patch."""

    changes: list[FileUpdateChange]
    status: Status = "in_progress"


class McpToolResult(msgspec.Struct, frozen=True):
    """What a tool has answered."""

    content: list[Any]
    structured_content: Any = None


class ErrorText(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong."""

    message: str
    kind: str | None = None
    """For programs; only where Greenroom itself knows it (`greenroom.protocol.errors.ErrorKind`)."""


class McpToolCallItem(ExecItem, frozen=True, tag="mcp_tool_call"):
    """A call of a tool of an MCP server."""

    server: str
    tool: str
    arguments: Any = None
    result: McpToolResult | None = None
    error: ErrorText | None = None
    status: Status = "in_progress"


class WebSearchItem(ExecItem, frozen=True, tag="web_search"):
    """A search by the model's server."""

    query: str
    action: Any = None


class TodoEntry(msgspec.Struct, frozen=True):
    """One step of a plan."""

    text: str
    completed: bool


class TodoListItem(ExecItem, frozen=True, tag="todo_list"):
    """The model's plan. Updated when it changes, completed with the turn."""

    items: list[TodoEntry]


class ErrorItem(ExecItem, frozen=True, tag="error"):
    """Something that the user should know, and that ends nothing."""

    message: str


AnyExecItem: TypeAlias = (
    AgentMessageItem
    | ReasoningItem
    | CommandExecutionItem
    | FileChangeItem
    | McpToolCallItem
    | WebSearchItem
    | TodoListItem
    | ErrorItem
)


class ExecEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of all events."""


class ThreadStarted(ExecEvent, frozen=True, tag="thread.started"):
    """The conversation is open. Always the first event."""

    thread_id: str


class TurnStarted(ExecEvent, frozen=True, tag="turn.started"):
    """The turn begins."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of the conversation so far, its earlier turns included."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0


class TurnCompleted(ExecEvent, frozen=True, tag="turn.completed"):
    """The turn has ended by itself."""

    usage: Usage


class TurnFailed(ExecEvent, frozen=True, tag="turn.failed"):
    """The turn has ended otherwise."""

    error: ErrorText


class ItemStarted(ExecEvent, frozen=True, tag="item.started"):
    """An item begins. Texts have no beginning."""

    item: AnyExecItem


class ItemUpdated(ExecEvent, frozen=True, tag="item.updated"):
    """An item has changed."""

    item: AnyExecItem


class ItemCompleted(ExecEvent, frozen=True, tag="item.completed"):
    """An item has ended."""

    item: AnyExecItem


class StreamError(ExecEvent, frozen=True, tag="error"):
    """The turn fails, or a request to the model is repeated."""

    message: str


AnyExecEvent: TypeAlias = (
    ThreadStarted | TurnStarted | TurnCompleted | TurnFailed | ItemStarted | ItemUpdated | ItemCompleted | StreamError
)
