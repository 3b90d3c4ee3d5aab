"""Events about a conversation as a whole, and about the beginning and the end of its turns."""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from greenroom.protocol.events.event import Counter, Event, Object

ErrorInfo: TypeAlias = str | Object | None
"""A code for programs: a name, or an object under a name."""


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
