"""Every event that a conversation sends to its clients, as found in `msg` of `codex/event`.

These structs describe the events but do not produce them: workers build events from dictionaries and bytes near their
source. Tests check every sent event against its struct, and docs/wire.md and `greenroom schema` are generated from
them. The first line of a docstring says when the event is sent; `since` names the first release that had it.
"""

from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, UnsetType

Counter: TypeAlias = int
Milliseconds: TypeAlias = int
"""Since the epoch."""
Object: TypeAlias = dict[str, Any]
ErrorInfo: TypeAlias = str | Object | None
"""A code for programs: a name, or an object under a name."""


class Event(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all events."""

    since: ClassVar[str] = "August 2025"


class Duration(msgspec.Struct, frozen=True):
    """A duration as two numbers."""

    secs: int
    nanos: int


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one response, or of several."""

    input_tokens: Counter
    cached_input_tokens: Counter
    cache_write_input_tokens: Counter
    output_tokens: Counter
    reasoning_output_tokens: Counter
    total_tokens: Counter


class TokenInfo(msgspec.Struct, frozen=True):
    """The tokens used by a conversation so far, and by its last response."""

    total_token_usage: TokenUsage
    last_token_usage: TokenUsage
    model_context_window: int | None


class PlanStep(msgspec.Struct, frozen=True):
    """One step of a plan."""

    step: str
    status: Literal["pending", "in_progress", "completed"]


class Invocation(msgspec.Struct, frozen=True):
    """A call of an MCP server's tool."""

    server: str
    tool: str
    arguments: Object | None


class ServerFailure(msgspec.Struct, frozen=True):
    """An MCP server that did not start."""

    server: str
    error: str


class AddedFile(msgspec.Struct, frozen=True, tag_field="type", tag="add"):
    """A file that did not exist, or was not text."""

    content: str


class DeletedFile(msgspec.Struct, frozen=True, tag_field="type", tag="delete"):
    """A deleted file, with its former content."""

    content: str


class UpdatedFile(msgspec.Struct, frozen=True, tag_field="type", tag="update"):
    """A file with new content or, if `move_path` is given, a new name."""

    unified_diff: str
    move_path: str | None


FileChange: TypeAlias = AddedFile | DeletedFile | UpdatedFile
Changes: TypeAlias = dict[str, FileChange]
"""By absolute path."""


# The conversation and its turns


class SessionConfigured(Event, tag="session_configured"):
    """The conversation is open. Always the first event; its `id` is empty."""

    session_id: str
    thread_id: str
    model: str
    model_provider_id: str
    approval_policy: str
    approvals_reviewer: str
    sandbox_policy: Object
    cwd: str
    history_log_id: int
    history_entry_count: int
    rollout_path: str
    reasoning_effort: str | UnsetType = UNSET
    initial_messages: list[Object] | UnsetType = UNSET


class TaskStarted(Event, tag="task_started"):
    """A turn begins."""

    turn_id: str
    started_at: int
    model_context_window: int | None
    collaboration_mode_kind: str


class TaskComplete(Event, tag="task_complete"):
    """A turn has ended by itself, possibly after an `error`."""

    turn_id: str
    last_agent_message: str | None
    started_at: int
    completed_at: int
    duration_ms: int
    time_to_first_token_ms: int | UnsetType = UNSET
    error: Object | UnsetType = UNSET


class TurnAborted(Event, tag="turn_aborted"):
    """A turn was stopped."""

    turn_id: str
    reason: str
    started_at: int
    completed_at: int
    duration_ms: int


class ErrorEvent(Event, tag="error"):
    """A turn failed; `task_complete` follows."""

    message: str
    codex_error_info: ErrorInfo


class StreamError(Event, tag="stream_error"):
    """The model's answer broke off; the request is repeated."""

    message: str
    codex_error_info: ErrorInfo
    additional_details: str | None


class WarningEvent(Event, tag="warning"):
    """Something that the user should know; the turn continues."""

    since = "October 2025"

    message: str


class BackgroundEvent(Event, tag="background_event"):
    """A note about a detail of the turn."""

    message: str


class ContextCompacted(Event, tag="context_compacted"):
    """The history was replaced by a summary."""

    since = "November 2025"


class TokenCount(Event, tag="token_count"):
    """A response of the model is complete: its token counts, and those of the conversation in `info`."""

    input_tokens: Counter
    cached_input_tokens: Counter
    cache_write_input_tokens: Counter
    output_tokens: Counter
    reasoning_output_tokens: Counter
    total_tokens: Counter
    info: TokenInfo | None
    rate_limits: Object | None


# What is said


class UserMessage(Event, tag="user_message"):
    """The user's message is sent to the model."""

    since = "September 2025"

    message: str
    kind: str
    images: list[str]
    local_images: list[str]
    audio: list[Object]
    local_audio: list[Object]
    text_elements: list[Object]


class AgentMessage(Event, tag="agent_message"):
    """A text of the agent is complete."""

    message: str
    phase: str | None
    memory_citation: Object | None


class AgentMessageDelta(Event, tag="agent_message_delta"):
    """A piece of the agent's text."""

    delta: str


class AgentMessageContentDelta(Event, tag="agent_message_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str


class AgentReasoning(Event, tag="agent_reasoning"):
    """A part of the summary of the model's reasoning is complete."""

    text: str


class AgentReasoningDelta(Event, tag="agent_reasoning_delta"):
    """A piece of the reasoning summary."""

    delta: str


class ReasoningContentDelta(Event, tag="reasoning_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    summary_index: int


class AgentReasoningSectionBreak(Event, tag="agent_reasoning_section_break"):
    """The next part of the reasoning summary begins."""


class AgentReasoningRawContent(Event, tag="agent_reasoning_raw_content"):
    """The reasoning itself, if `show_raw_agent_reasoning` is set."""

    text: str


class AgentReasoningRawContentDelta(Event, tag="agent_reasoning_raw_content_delta"):
    """A piece of the reasoning itself, if `show_raw_agent_reasoning` is set."""

    delta: str


class ReasoningRawContentDelta(Event, tag="reasoning_raw_content_delta"):
    """The same piece, with the item that it belongs to."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item_id: str
    delta: str
    content_index: int


# What is done


class ExecApprovalRequest(Event, tag="exec_approval_request"):
    """A command needs the user's approval; `elicitation/create` follows."""

    call_id: str
    turn_id: str
    started_at_ms: Milliseconds
    kind: str
    command: list[str]
    cwd: str
    parsed_cmd: list[Object]
    available_decisions: list[str]
    reason: str | UnsetType = UNSET


class ApplyPatchApprovalRequest(Event, tag="apply_patch_approval_request"):
    """A patch needs the user's approval; `elicitation/create` follows."""

    call_id: str
    turn_id: str
    started_at_ms: Milliseconds
    changes: Changes
    reason: str | UnsetType = UNSET


class ElicitationRequest(Event, tag="elicitation_request"):
    """An MCP server, or a call of one of its tools, needs an answer from the user; `elicitation/create` follows."""

    since = "2026"

    server_name: str
    id: str | int
    request: Object
    turn_id: str | UnsetType = UNSET


class ExecCommandBegin(Event, tag="exec_command_begin"):
    """A command starts."""

    call_id: str
    turn_id: str
    started_at_ms: Milliseconds
    command: list[str]
    cwd: str
    parsed_cmd: list[Object]
    source: str
    process_id: str | UnsetType = UNSET


class ExecCommandOutputDelta(Event, tag="exec_command_output_delta"):
    """A command has written output: at most 8192 bytes, in base64."""

    call_id: str
    stream: Literal["stdout", "stderr"]
    chunk: str


class ExecCommandEnd(Event, tag="exec_command_end"):
    """A command has ended. If it could not be started, the exit code is -1 and `stderr` has the reason."""

    call_id: str
    turn_id: str
    completed_at_ms: Milliseconds
    command: list[str]
    cwd: str
    parsed_cmd: list[Object]
    source: str
    stdout: str
    stderr: str
    aggregated_output: str
    exit_code: int
    duration: Duration
    formatted_output: str
    status: str
    process_id: str | UnsetType = UNSET


class TerminalInteraction(Event, tag="terminal_interaction"):
    """The model writes to a running command, or only reads its output if `stdin` is empty."""

    since = "December 2025"

    call_id: str
    process_id: str | None
    stdin: str


class PatchApplyBegin(Event, tag="patch_apply_begin"):
    """A patch is about to be applied; `auto_approved` if the user was not asked."""

    call_id: str
    turn_id: str
    auto_approved: bool
    changes: Changes


class PatchApplyEnd(Event, tag="patch_apply_end"):
    """A patch was applied, or failed."""

    call_id: str
    turn_id: str
    stdout: str
    stderr: str
    success: bool
    changes: Changes
    status: str


class TurnDiff(Event, tag="turn_diff"):
    """The net diff of the turn's patches so far, sent after each patch and each later response of the turn."""

    unified_diff: str


class PlanUpdate(Event, tag="plan_update"):
    """The model has made or changed its plan."""

    explanation: str | None
    plan: list[PlanStep]


class McpStartupUpdate(Event, tag="mcp_startup_update"):
    """An MCP server is starting, ready or failed."""

    since = "November 2025"

    server: str
    status: Object


class McpStartupComplete(Event, tag="mcp_startup_complete"):
    """All MCP servers have started or failed."""

    since = "November 2025"

    ready: list[str]
    failed: list[ServerFailure]
    cancelled: list[str]


class McpToolCallBegin(Event, tag="mcp_tool_call_begin"):
    """A tool of an MCP server is called."""

    call_id: str
    turn_id: str
    invocation: Invocation


class McpToolCallEnd(Event, tag="mcp_tool_call_end"):
    """A tool of an MCP server has answered: `result` is `{"Ok": …}` or `{"Err": "…"}`."""

    call_id: str
    turn_id: str
    invocation: Invocation
    duration: Duration
    result: Object


class WebSearchBegin(Event, tag="web_search_begin"):
    """The model's server searches the web."""

    since = "August 2025"

    call_id: str
    query: str


class WebSearchEnd(Event, tag="web_search_end"):
    """The model's server has searched the web, or opened a page."""

    since = "September 2025"

    call_id: str
    query: str
    action: Object | None


class ViewImageToolCall(Event, tag="view_image_tool_call"):
    """The model looks at an image of the workspace."""

    since = "October 2025"

    call_id: str
    path: str


# The same as items


class ItemStarted(Event, tag="item_started"):
    """A step begins that the flat events report too; `item` is tagged by `type`, such as `CommandExecution`."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item: Object
    started_at_ms: Milliseconds


class ItemCompleted(Event, tag="item_completed"):
    """A step has ended; `item` has the result."""

    since = "October 2025"

    thread_id: str
    turn_id: str
    item: Object
    started_at_ms: Milliseconds
    completed_at_ms: Milliseconds


class RawResponseItem(Event, tag="raw_response_item"):
    """An item of the history, as the model sees it."""

    since = "October 2025"

    item: Object


class RawResponseCompleted(Event, tag="raw_response_completed"):
    """A response of the model is complete."""

    since = "July 2026"

    response_id: str
    token_usage: TokenUsage | None
    usage_metadata: Object | None


AnyEvent: TypeAlias = (
    SessionConfigured
    | McpStartupUpdate
    | McpStartupComplete
    | TaskStarted
    | UserMessage
    | AgentReasoningSectionBreak
    | AgentReasoningDelta
    | ReasoningContentDelta
    | AgentReasoning
    | AgentReasoningRawContentDelta
    | ReasoningRawContentDelta
    | AgentReasoningRawContent
    | AgentMessageDelta
    | AgentMessageContentDelta
    | AgentMessage
    | WebSearchBegin
    | WebSearchEnd
    | ExecApprovalRequest
    | ApplyPatchApprovalRequest
    | ElicitationRequest
    | ExecCommandBegin
    | ExecCommandOutputDelta
    | TerminalInteraction
    | ExecCommandEnd
    | PatchApplyBegin
    | PatchApplyEnd
    | TurnDiff
    | PlanUpdate
    | ViewImageToolCall
    | McpToolCallBegin
    | McpToolCallEnd
    | TokenCount
    | ItemStarted
    | ItemCompleted
    | RawResponseItem
    | RawResponseCompleted
    | ContextCompacted
    | BackgroundEvent
    | WarningEvent
    | StreamError
    | ErrorEvent
    | TaskComplete
    | TurnAborted
)
"""In the order of a turn."""

EVENTS: Final[dict[str, type[Event]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)}
"""By type."""
