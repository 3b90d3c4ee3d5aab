"""The items of a thread, as workers describe them in `item_started` and `item_completed`.

Front ends read these structs and render them for their clients. Members that are `None` are unknown, or not known yet.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import field

from greenroom.protocol.events.event import Duration
from greenroom.protocol.events.file_change import FileChange
from greenroom.protocol.items import JsonObject

ThreadItemStatus: TypeAlias = Literal["in_progress", "completed", "failed", "declined"]


class Item(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all items."""

    id: str


class UserMessage(Item, frozen=True, tag="UserMessage"):
    """A message of the user."""

    content: list[JsonObject] = field(default_factory=list)
    """Parts of the message, tagged by `type`."""

    @property
    def text(self) -> str:
        """The texts of the message, on lines of their own."""
        return "\n".join(_texts(self.content, "text"))


class AgentMessage(Item, frozen=True, tag="AgentMessage"):
    """A text of the agent."""

    content: list[JsonObject] = field(default_factory=list)
    phase: str | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(_texts(self.content, "Text"))


class Reasoning(Item, frozen=True, tag="Reasoning"):
    """A piece of the model's reasoning."""

    summary_text: list[str] = field(default_factory=list)
    raw_content: list[str] = field(default_factory=list)


class CommandExecution(Item, frozen=True, tag="CommandExecution"):
    """A command."""

    command: list[str]
    cwd: str
    """A file URI, or a path."""
    parsed_cmd: list[JsonObject] = field(default_factory=list)
    """What each part of the command does, for display."""
    source: str = "agent"
    status: ThreadItemStatus = "in_progress"
    process_id: str | None = None
    aggregated_output: str | None = None
    exit_code: int | None = None
    duration: Duration | None = None

    @property
    def directory(self) -> str:
        """The working directory, as a path."""
        return path_from_uri(self.cwd)


class FileChanges(Item, frozen=True, tag="FileChange"):
    """A patch."""

    changes: dict[str, FileChange] = field(default_factory=dict)
    """By absolute path."""
    status: ThreadItemStatus = "in_progress"


class McpToolCall(Item, frozen=True, tag="McpToolCall"):
    """A call of a tool of an MCP server."""

    server: str = ""
    tool: str = ""
    arguments: JsonObject | None = None
    status: Literal["inProgress", "completed", "failed"] = "inProgress"
    result: JsonObject | None = None
    """`content`, and `structured_content` or `structuredContent` where the tool has some."""
    error: JsonObject | None = None
    duration: Duration | None = None

    @property
    def fault(self) -> str | None:
        """What went wrong, for people."""
        return None if self.error is None else str(self.error.get("message", ""))


class WebSearch(Item, frozen=True, tag="WebSearch"):
    """A search by the model's server."""

    query: str = ""
    action: JsonObject | None = None


class ImageView(Item, frozen=True, tag="ImageView"):
    """An image that the model looks at."""

    path: str
    """A file URI, or a path."""

    @property
    def file(self) -> str:
        """The image's path."""
        return path_from_uri(self.path)


class ContextCompaction(Item, frozen=True, tag="ContextCompaction"):
    """The history was replaced by a summary."""


class Plan(Item, frozen=True, tag="Plan"):
    """A plan, as text, of sessions in plan mode."""

    text: str = ""


class EnteredReviewMode(Item, frozen=True, tag="EnteredReviewMode"):
    """A review begins."""

    review: str | JsonObject | None = None


class ExitedReviewMode(Item, frozen=True, tag="ExitedReviewMode"):
    """A review has ended."""

    review: str | JsonObject | None = None


AnyItem: TypeAlias = (
    UserMessage
    | AgentMessage
    | Reasoning
    | CommandExecution
    | FileChanges
    | McpToolCall
    | WebSearch
    | ImageView
    | ContextCompaction
    | Plan
    | EnteredReviewMode
    | ExitedReviewMode
)


def read_item(item: Mapping[str, object]) -> AnyItem | None:
    """Return an item of an event; `None` for one that is of an unknown type or does not fit."""
    try:
        found: AnyItem = msgspec.convert(item, AnyItem)
    except msgspec.ValidationError:
        return None
    return found


def path_from_uri(location: str) -> str:
    """Return the path of a file URI; a path is returned as it is."""
    return unquote(urlsplit(location).path) if location.startswith("file://") else location


def _texts(parts: list[JsonObject], kind: str) -> list[str]:
    found = (part.get("text") for part in parts if part.get("type") == kind)
    return [text for text in found if isinstance(text, str)]
