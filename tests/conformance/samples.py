"""Facts of scenarios as two releases of the reference played them: what came in which order, and in what shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Release: TypeAlias = Literal["0.25.0", "0.153.4"]
Scenario: TypeAlias = Literal[
    "simple turn and reply",
    "command",
    "command approved",
    "command denied",
    "patch approved",
    "patch automatic",
    "plan",
    "cancelled",
    "model error",
]
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

    answer: str
    """The text of the answer; empty where there was none."""
    events: tuple[Shape, ...]
    result: frozenset[str]
    """The members of the result; none where the call was not answered."""
    inputs: tuple[str, ...]
    """The items of the last request to the model: the role of a message, the type of another."""
    event_id: IdForm
    """What the `id` of the turn's events is."""
    tool: str = "codex"
    question: frozenset[str] = frozenset()
    """The members of the params of the question to the user; none where there was none."""


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
_OLD_ASKED = shape("exec_approval_request", "call_id command cwd")
_OLD_PATCH = (
    shape("patch_apply_begin", "call_id auto_approved changes"),
    shape("patch_apply_end", "call_id stdout stderr success"),
)
_DIFF = shape("turn_diff", "unified_diff")
_OLD_PATCH_ASKED = shape("apply_patch_approval_request", "call_id changes")
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
_FIRST = (*_START, _WARNING, _TURN, *(_RAW_ITEM,) * 3, *_SAID)
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

_QUESTION = "message requestedSchema codex_elicitation codex_mcp_tool_call_id codex_event_id codex_call_id"
_COMMAND_QUESTION = frozenset(f"{_QUESTION} codex_command codex_cwd".split())
_PATCH_QUESTION = frozenset(f"{_QUESTION} codex_changes".split())
_NEW_COMMAND_QUESTION = _COMMAND_QUESTION | {"threadId", "codex_parsed_cmd"}
_CALLED = ("user", "user", "function_call", "function_call_output")
_PATCHED = (*_CALLED[:2], "custom_tool_call", "custom_tool_call_output")
_REFUSED = '{"error": {"message": "bad request", "type": "invalid_request_error"}}'


def _old_turn(answer: str, *first: Shape, question: frozenset[str] = frozenset()) -> Turn:
    """A first turn in which the model called a tool and then answered."""
    events = (_OLD_START, _OLD_TURN, *first, _OLD_USAGE, *_OLD_TEXT, _OLD_USAGE, _OLD_END)
    return Turn(answer, events, _CONTENT, _CALLED, "request", question=question)


def _new_turn(
    answer: str, *first: Shape, inputs: tuple[str, ...] = _CALLED, question: frozenset[str] = frozenset()
) -> Turn:
    """A first turn in which the model called a tool and then answered."""
    events = (*_FIRST, *first, _USAGE_EVENT, *_TEXT, _USAGE_EVENT, _END)
    return Turn(answer, events, _STRUCTURED, ("developer", *inputs), "uuid7", question=question)


_OLD_TURNS: Final[Mapping[Scenario, tuple[Turn, ...]]] = {
    "simple turn and reply": (
        Turn(
            "The tests pass.",
            (_OLD_START, _OLD_TURN, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
            _CONTENT,
            ("user", "user"),
            "request",
        ),
        Turn(
            "Again.",
            (_OLD_TURN, *_OLD_TEXT, _OLD_USAGE, _OLD_END),
            _CONTENT,
            ("user", "user", "assistant", "user"),
            "counter",
            "codex-reply",
        ),
    ),
    "command": (_old_turn("It printed hi.", *_OLD_COMMAND),),
    "command approved": (_old_turn("done", _OLD_ASKED, _OLD_COMMAND[0], _OLD_COMMAND[2], question=_COMMAND_QUESTION),),
    "command denied": (_old_turn("done", _OLD_ASKED, question=_COMMAND_QUESTION),),
    "patch approved": (
        Turn(
            "patched",
            (
                _OLD_START,
                _OLD_TURN,
                _OLD_PATCH_ASKED,
                *_OLD_PATCH,
                _DIFF,
                _OLD_USAGE,
                _DIFF,
                *_OLD_TEXT,
                _OLD_USAGE,
                _DIFF,
                _OLD_END,
            ),
            _CONTENT,
            _CALLED,
            "request",
            question=_PATCH_QUESTION,
        ),
    ),
    "patch automatic": (_old_turn("patched", *_OLD_PATCH),),
    "plan": (_old_turn("planned", _OLD_PLAN),),
    "cancelled": (
        Turn(
            "",
            (_OLD_START, _OLD_TURN, _OLD_COMMAND[0], shape("turn_aborted", "reason")),
            frozenset(),
            ("user", "user"),
            "request",
        ),
    ),
    "model error": (
        Turn(
            f"unexpected status 400 Bad Request: {_REFUSED}",
            (_OLD_START, _OLD_TURN, shape("error", "message")),
            frozenset({"error"}),
            ("user", "user"),
            "request",
        ),
    ),
}
_NEW_TURNS: Final[Mapping[Scenario, tuple[Turn, ...]]] = {
    "simple turn and reply": (
        Turn(
            "The tests pass.",
            (*_FIRST, *_TEXT, _USAGE_EVENT, _END),
            _STRUCTURED,
            ("developer", "user", "user"),
            "uuid7",
        ),
        Turn(
            "Again.",
            (_WARNING, _TURN, _RAW_ITEM, *_SAID, *_TEXT, _USAGE_EVENT, _END),
            _STRUCTURED,
            ("developer", "user", "user", "assistant", "user"),
            "uuid7",
            "codex-reply",
        ),
    ),
    "command": (_new_turn("It printed hi.", *_COMMAND),),
    "command approved": (_new_turn("done", *_COMMAND[:2], _ASKED, *_COMMAND[2:], question=_NEW_COMMAND_QUESTION),),
    "command denied": (_new_turn("done", *_COMMAND[:2], _ASKED, _RAW_ITEM, question=_NEW_COMMAND_QUESTION),),
    "patch approved": (_new_turn("patched", _RAW_ITEM, _RAW_END, _RAW_ITEM, inputs=_PATCHED),),
    "patch automatic": (_new_turn("patched", _RAW_ITEM, _RAW_END, _RAW_ITEM, inputs=_PATCHED),),
    "plan": (_new_turn("planned", _RAW_ITEM, _RAW_END, _RAW_ITEM),),
    "cancelled": (
        Turn(
            "",
            (
                *_FIRST,
                *_COMMAND[:4],
                _RAW_ITEM,
                _USAGE_EVENT,
                _RAW_ITEM,
                shape("turn_aborted", "turn_id reason started_at completed_at duration_ms"),
            ),
            frozenset(),
            ("developer", "user", "user"),
            "uuid7",
        ),
    ),
    "model error": (
        Turn(
            _REFUSED,
            (*_FIRST, shape("error", "message codex_error_info")),
            _STRUCTURED | {"isError"},
            ("developer", "user", "user"),
            "uuid7",
        ),
    ),
}
_RECORDED: Final[tuple[tuple[Release, Wire, Mapping[Scenario, tuple[Turn, ...]]], ...]] = (
    ("0.25.0", _OLD, _OLD_TURNS),
    ("0.153.4", _NEW, _NEW_TURNS),
)
SAMPLES: Final = tuple(
    Sample(release, scenario, wire, played)
    for release, wire, recorded in _RECORDED
    for scenario, played in recorded.items()
)
"""All of them, in both releases."""


def recording(release: Release, scenario: Scenario) -> Sample:
    """Return one recording."""
    (found,) = (one for one in SAMPLES if (one.release, one.scenario) == (release, scenario))
    return found
