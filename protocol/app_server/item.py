"""The items of a turn, tagged by `type`, as clients get them."""

from typing import Any, Literal, TypeAlias

from msgspec import field

from greenroom.protocol.app_server.wire import Result

ItemStatus: TypeAlias = Literal["inProgress", "completed", "failed", "declined"]
AnyJson: TypeAlias = Any


class TextInput(Result, frozen=True, tag="text", tag_field="type"):
    """A text of the user."""

    text: str
    text_elements: list[AnyJson] = field(name="text_elements", default_factory=list)
    """Parts of the text that editors show in another way."""


class ImageInput(Result, frozen=True, tag="image", tag_field="type"):
    """An image by its URL, which may contain the image itself."""

    url: str
    detail: str | None = None


class LocalImageInput(Result, frozen=True, tag="localImage", tag_field="type"):
    """An image in a file."""

    path: str
    detail: str | None = None


class SkillInput(Result, frozen=True, tag="skill", tag_field="type"):
    """A skill that the user has chosen."""

    name: str
    path: str


class MentionInput(Result, frozen=True, tag="mention", tag_field="type"):
    """A file that the user mentions."""

    name: str
    path: str


class AudioInput(Result, frozen=True, tag="audio", tag_field="type"):
    """Speech by its URL; not supported."""

    url: str = ""


class LocalAudioInput(Result, frozen=True, tag="localAudio", tag_field="type"):
    """Speech in a file; not supported."""

    path: str = ""


UserInputPart: TypeAlias = (
    TextInput | ImageInput | LocalImageInput | SkillInput | MentionInput | AudioInput | LocalAudioInput
)


class UserMessageItem(Result, frozen=True, tag="userMessage", tag_field="type"):
    """A message of the user."""

    id: str
    content: list[UserInputPart]
    client_id: str | None = None
    """The `clientUserMessageId` that came with it."""


class AgentMessageItem(Result, frozen=True, tag="agentMessage", tag_field="type"):
    """A text of the agent."""

    id: str
    text: str
    phase: str | None = None


class ReasoningItem(Result, frozen=True, tag="reasoning", tag_field="type"):
    """A piece of the model's reasoning."""

    id: str
    summary: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)


class PlanItem(Result, frozen=True, tag="plan", tag_field="type"):
    """A plan of a session in plan mode."""

    id: str
    text: str


class CommandExecutionItem(Result, frozen=True, tag="commandExecution", tag_field="type"):
    """A command."""

    id: str
    command: str
    """In shell quoting."""
    cwd: str
    command_actions: list["CommandAction"]
    status: ItemStatus
    source: str = "agent"
    process_id: str | None = None
    aggregated_output: str | None = None
    exit_code: int | None = None
    duration_ms: int | None = None


class ReadAction(Result, frozen=True, tag="read", tag_field="type"):
    """A part of a command that reads a file."""

    command: str
    name: str
    path: str


class ListFilesAction(Result, frozen=True, tag="listFiles", tag_field="type"):
    """A part of a command that lists files."""

    command: str
    path: str | None = None


class SearchAction(Result, frozen=True, tag="search", tag_field="type"):
    """A part of a command that searches."""

    command: str
    query: str | None = None
    path: str | None = None


class UnknownAction(Result, frozen=True, tag="unknown", tag_field="type"):
    """Any other part of a command."""

    command: str


CommandAction: TypeAlias = ReadAction | ListFilesAction | SearchAction | UnknownAction


class AddKind(Result, frozen=True, tag="add", tag_field="type"):
    """A new file."""


class DeleteKind(Result, frozen=True, tag="delete", tag_field="type"):
    """A deleted file."""


class UpdateKind(Result, frozen=True, tag="update", tag_field="type"):
    """A changed file."""

    move_path: str | None = field(name="move_path", default=None)


class FileUpdateChange(Result, frozen=True):
    """What a patch does to one file."""

    path: str
    kind: AddKind | DeleteKind | UpdateKind
    diff: str
    """The hunks of an update; else the content."""


class FileChangeItem(Result, frozen=True, tag="fileChange", tag_field="type"):
    """A patch."""

    id: str
    changes: list[FileUpdateChange]
    status: ItemStatus


class McpToolCallResult(Result, frozen=True):
    """What a tool has returned."""

    content: list[AnyJson]
    structured_content: AnyJson = None
    meta: AnyJson = field(name="_meta", default=None)


class McpToolCallError(Result, frozen=True):
    """Why a call has failed."""

    message: str


class McpToolCallItem(Result, frozen=True, tag="mcpToolCall", tag_field="type"):
    """A call of a tool of an MCP server."""

    id: str
    server: str
    tool: str
    arguments: AnyJson
    status: ItemStatus
    result: McpToolCallResult | None = None
    error: McpToolCallError | None = None
    duration_ms: int | None = None


class SearchWebAction(Result, frozen=True, tag="search", tag_field="type"):
    """A search."""

    query: str | None = None
    queries: list[str] | None = None


class OpenPageAction(Result, frozen=True, tag="openPage", tag_field="type"):
    """A look at a page."""

    url: str | None = None


class FindInPageAction(Result, frozen=True, tag="findInPage", tag_field="type"):
    """A search in a page."""

    url: str | None = None
    pattern: str | None = None


class OtherWebAction(Result, frozen=True, tag="other", tag_field="type"):
    """Anything else."""


WebSearchAction: TypeAlias = SearchWebAction | OpenPageAction | FindInPageAction | OtherWebAction


class WebSearchItem(Result, frozen=True, tag="webSearch", tag_field="type"):
    """A search by the model's server."""

    id: str
    query: str
    action: WebSearchAction | None = None


class ImageViewItem(Result, frozen=True, tag="imageView", tag_field="type"):
    """An image that the model looks at."""

    id: str
    path: str


class ContextCompactionItem(Result, frozen=True, tag="contextCompaction", tag_field="type"):
    """The history was replaced by a summary."""

    id: str


class EnteredReviewModeItem(Result, frozen=True, tag="enteredReviewMode", tag_field="type"):
    """A review begins."""

    id: str
    review: str


class ExitedReviewModeItem(Result, frozen=True, tag="exitedReviewMode", tag_field="type"):
    """A review has ended."""

    id: str
    review: str


ThreadItem: TypeAlias = (
    UserMessageItem
    | AgentMessageItem
    | ReasoningItem
    | PlanItem
    | CommandExecutionItem
    | FileChangeItem
    | McpToolCallItem
    | WebSearchItem
    | ImageViewItem
    | ContextCompactionItem
    | EnteredReviewModeItem
    | ExitedReviewModeItem
)
"""Tagged by `type`."""
