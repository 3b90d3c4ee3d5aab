"""Facts of scenarios as two releases of the reference played them: what came in which order, and in what shape."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Release: TypeAlias = Literal["0.25.0", "0.153.4"]
Scenario: TypeAlias = Literal["simple turn and reply", "command", "command approved", "plan"]
IdForm: TypeAlias = Literal["request", "counter", "uuid7"]
Shape: TypeAlias = tuple[str, frozenset[str]]
"""The type of an event and the names of its fields."""

FIRST_PROMPT: Final = "Please do the next step."
SECOND_PROMPT: Final = "Please do the next step, again."
"""The recording has the first prompt twice; the script tells the turns apart by what is said."""


def shape(kind: str, fields: str = "") -> Shape:
    return kind, frozenset(fields.split())


@dataclass(frozen=True)
class Turn:
    """One `tools/call` and what came of it."""

    tool: str
    answer: str
    event_id: IdForm
    """What the `id` of the turn's events is."""
    events: tuple[Shape, ...]
    result: frozenset[str]
    """The members of the result."""
    inputs: tuple[str, ...]
    """The items of the last request to the model: the role of a message, the type of another."""


@dataclass(frozen=True)
class Wire:
    """What all recordings of a release have in common."""

    meta: frozenset[str]
    """The members of `_meta` of an event."""
    server_info: frozenset[str]
    reply_id: str
    """The argument by which `codex-reply` names the conversation."""
    arguments: frozenset[str]
    """The arguments that `codex` lists."""


@dataclass(frozen=True)
class Sample:
    """One recording."""

    release: Release
    scenario: Scenario
    wire: Wire
    turns: tuple[Turn, ...]


_USAGE = "input_tokens cached_input_tokens output_tokens reasoning_output_tokens total_tokens"
_OLD_START = shape("session_configured", "session_id model history_log_id history_entry_count")
_OLD_TURN = shape("task_started", "model_context_window")
_OLD_END = shape("task_complete", "last_agent_message")
_DELTA = shape("agent_message_delta", "delta")
_OLD_TEXT = (_DELTA, shape("agent_message", "message"))
_OLD_USAGE = shape("token_count", _USAGE)
_OLD_COMMAND = (
    shape("exec_command_begin", "call_id command cwd parsed_cmd"),
    shape("exec_command_output_delta", "call_id stream chunk"),
    shape("exec_command_end", "call_id stdout stderr aggregated_output exit_code duration formatted_output"),
)
_OLD_APPROVED = (
    shape("exec_approval_request", "call_id command cwd"),
    _OLD_COMMAND[0],
    _OLD_COMMAND[2],
)
_OLD_PLAN = shape("plan_update", "explanation plan")
_OLD_ARGUMENTS = frozenset(
    {
        "approval-policy",
        "base-instructions",
        "config",
        "cwd",
        "include-plan-tool",
        "model",
        "profile",
        "prompt",
        "sandbox",
    }
)
_OLD = Wire(
    meta=frozenset({"requestId"}),
    server_info=frozenset({"name", "title", "version"}),
    reply_id="sessionId",
    arguments=_OLD_ARGUMENTS,
)
_CONTENT = frozenset({"content"})

_START = (
    shape(
        "session_configured",
        "session_id thread_id model model_provider_id approval_policy approvals_reviewer permission_profile cwd "
        "rollout_path",
    ),
    shape("mcp_startup_complete", "ready failed cancelled"),
)
_WARNING = shape("warning", "message")
_TURN = shape("task_started", "turn_id started_at model_context_window collaboration_mode_kind")
_END = shape("task_complete", "turn_id last_agent_message started_at completed_at duration_ms time_to_first_token_ms")
_RAW_ITEM = shape("raw_response_item", "item")
_RAW_END = shape("raw_response_completed", "response_id token_usage usage_metadata")
_ITEM_STARTED = shape("item_started", "thread_id turn_id item started_at_ms")
_ITEM_COMPLETED = shape("item_completed", "thread_id turn_id item started_at_ms completed_at_ms")
_SAID = (
    _ITEM_STARTED,
    _ITEM_COMPLETED,
    shape("user_message", "message images local_images audio local_audio text_elements"),
)
_TEXT = (
    _ITEM_STARTED,
    shape("agent_message_content_delta", "thread_id turn_id item_id delta"),
    _ITEM_COMPLETED,
    shape("agent_message", "message phase memory_citation"),
    _RAW_ITEM,
    _RAW_END,
)
_USAGE_EVENT = shape("token_count", "info rate_limits")
_COMMAND = (
    _RAW_ITEM,
    _RAW_END,
    _ITEM_STARTED,
    shape("exec_command_begin", "call_id process_id turn_id started_at_ms command cwd parsed_cmd source"),
    _ITEM_COMPLETED,
    shape(
        "exec_command_end",
        "call_id process_id turn_id completed_at_ms command cwd parsed_cmd source stdout stderr aggregated_output "
        "exit_code duration formatted_output status",
    ),
    _RAW_ITEM,
)
_ASKED = shape(
    "exec_approval_request",
    "kind call_id turn_id environmentId started_at_ms command cwd reason proposed_execpolicy_amendment "
    "available_decisions parsed_cmd",
)
_NEW = Wire(
    meta=frozenset({"requestId", "threadId"}),
    server_info=frozenset({"name", "title", "version", "user_agent"}),
    reply_id="threadId",
    arguments=(_OLD_ARGUMENTS - {"include-plan-tool", "profile"}) | {"compact-prompt", "developer-instructions"},
)
_STRUCTURED = frozenset({"content", "structuredContent"})

SAMPLES: Final = (
    Sample(
        "0.25.0",
        "simple turn and reply",
        _OLD,
        turns=(
            Turn(
                "codex",
                "The tests pass.",
                "request",
                (_OLD_START, _OLD_TURN, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
                _CONTENT,
                ("user", "user"),
            ),
            Turn(
                "codex-reply",
                "Again.",
                "counter",
                (_OLD_TURN, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
                _CONTENT,
                ("user", "user", "assistant", "user"),
            ),
        ),
    ),
    Sample(
        "0.25.0",
        "command",
        _OLD,
        turns=(
            Turn(
                "codex",
                "It printed hi.",
                "request",
                (_OLD_START, _OLD_TURN, *_OLD_COMMAND, _OLD_USAGE, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
                _CONTENT,
                ("user", "user", "function_call", "function_call_output"),
            ),
        ),
    ),
    Sample(
        "0.153.4",
        "simple turn and reply",
        _NEW,
        turns=(
            Turn(
                "codex",
                "The tests pass.",
                "uuid7",
                (*_START, _WARNING, _TURN, *(_RAW_ITEM,) * 3, *_SAID, *_TEXT, _USAGE_EVENT, _END),
                _STRUCTURED,
                ("developer", "user", "user"),
            ),
            Turn(
                "codex-reply",
                "Again.",
                "uuid7",
                (_WARNING, _TURN, _RAW_ITEM, *_SAID, *_TEXT, _USAGE_EVENT, _END),
                _STRUCTURED,
                ("developer", "user", "user", "assistant", "user"),
            ),
        ),
    ),
    Sample(
        "0.153.4",
        "command",
        _NEW,
        turns=(
            Turn(
                "codex",
                "It printed hi.",
                "uuid7",
                (
                    *_START,
                    _WARNING,
                    _TURN,
                    *(_RAW_ITEM,) * 3,
                    *_SAID,
                    *_COMMAND,
                    _USAGE_EVENT,
                    *_TEXT,
                    _USAGE_EVENT,
                    _END,
                ),
                _STRUCTURED,
                ("developer", "user", "user", "function_call", "function_call_output"),
            ),
        ),
    ),
    Sample(
        "0.25.0",
        "command approved",
        _OLD,
        turns=(
            Turn(
                "codex",
                "done",
                "request",
                (_OLD_START, _OLD_TURN, *_OLD_APPROVED, _OLD_USAGE, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
                _CONTENT,
                ("user", "user", "function_call", "function_call_output"),
            ),
        ),
    ),
    Sample(
        "0.25.0",
        "plan",
        _OLD,
        turns=(
            Turn(
                "codex",
                "done",
                "request",
                (_OLD_START, _OLD_TURN, _OLD_PLAN, _OLD_USAGE, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
                _CONTENT,
                ("user", "user", "function_call", "function_call_output"),
            ),
        ),
    ),
    Sample(
        "0.153.4",
        "command approved",
        _NEW,
        turns=(
            Turn(
                "codex",
                "done",
                "uuid7",
                (
                    *_START,
                    _WARNING,
                    _TURN,
                    *(_RAW_ITEM,) * 3,
                    *_SAID,
                    *_COMMAND[:2],
                    _ASKED,
                    *_COMMAND[2:],
                    _USAGE_EVENT,
                    *_TEXT,
                    _USAGE_EVENT,
                    _END,
                ),
                _STRUCTURED,
                ("developer", "user", "user", "function_call", "function_call_output"),
            ),
        ),
    ),
)
