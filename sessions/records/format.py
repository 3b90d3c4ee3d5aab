"""The lines of a session file, free of I/O: which records there are, and how each is written.

A file begins with `session_meta`, which names its history mode for good. Files of our own are `legacy`: every release
can read their flat events. The lines of a `paginated` file are numbered, and completed items take the place of these
events in it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.events.event import Event, type_of
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy

RecordKind: TypeAlias = Literal["session_meta", "response_item", "event_msg", "turn_context", "compacted"]

HistoryMode: TypeAlias = Literal["legacy", "paginated"]

_TURN_EVENTS: Final = frozenset(
    {
        "task_complete",
        "task_started",
        "thread_goal_updated",
        "thread_rolled_back",
        "thread_settings_applied",
        "token_count",
        "turn_aborted",
    }
)

STORED_EVENTS: Final[Mapping[HistoryMode, frozenset[str]]] = {
    "legacy": _TURN_EVENTS
    | {
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "context_compacted",
        "entered_review_mode",
        "exited_review_mode",
        "image_generation_end",
        "mcp_tool_call_end",
        "patch_apply_end",
        "sub_agent_activity",
        "user_message",
        "web_search_end",
    },
    "paginated": _TURN_EVENTS | {"item_completed"},
}
"""Types of events that are stored, by the mode of the file. No reader uses the others."""

NOT_STORED: Final = frozenset({("mcp_tool_call_end", "turn_id")})
"""Types and members that clients are sent and files do not store."""

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class SessionRecord(msgspec.Struct, frozen=True):
    """The content of one line, without its time."""

    kind: RecordKind
    payload: Mapping[str, object] | msgspec.Raw


def encode_line(record: SessionRecord, at: float, ordinal: int | None = None) -> bytes:
    """Return the line of a record, newline included.

    `at` is in seconds since the epoch. Lines of a paginated file have an `ordinal`, which counts them from 0.
    """
    number = {} if ordinal is None else {"ordinal": ordinal}
    return (
        _encode({"timestamp": record_timestamp(at), **number, "type": record.kind, "payload": record.payload}) + b"\n"
    )


def record_timestamp(at: float) -> str:
    """Write a time as session files do: UTC, in milliseconds."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def session_meta(
    *,
    conversation_id: ConversationId,
    started: float,
    cwd: str,
    originator: str,
    cli_version: str,
    model_provider: str,
    base_instructions: str,
    model: str | None = None,
    git: Mapping[str, str] | None = None,
    source: str = "mcp",
    thread_source: str | None = None,
    began_with: Mapping[str, object] | None = None,
) -> SessionRecord:
    """Return the first record of a file. `model` is set where the instructions are that model's own.

    `source` is the program that has begun the conversation, `thread_source` what has caused it. `began_with` is what a
    conversation on a node was allowed at first (`greenroom.sessions.records.restored.BeganWith`).
    """
    provenance: JsonObject = {"type": "custom"} if model is None else {"type": "model", "model": model}
    payload: JsonObject = {
        "session_id": conversation_id,
        "id": conversation_id,
        "timestamp": record_timestamp(started),
        "cwd": cwd,
        "originator": originator,
        "cli_version": cli_version,
        "source": source,
        **({} if thread_source is None else {"thread_source": thread_source}),
        "model_provider": model_provider,
        "base_instructions": {"text": base_instructions, "provenance": provenance},
        "history_mode": "legacy",
        **({} if began_with is None else {"greenroom": began_with}),
    }
    return SessionRecord("session_meta", payload if git is None else {**payload, "git": git})


def response_item(item: Mapping[str, object]) -> SessionRecord:
    """Return the record of one item of the history."""
    return SessionRecord("response_item", item)


def stored_event(event: Event, mode: HistoryMode = "legacy") -> SessionRecord | None:
    """Return the record of an event, `None` for an event that files of this mode do not keep."""
    kind = type_of(event)
    if kind not in STORED_EVENTS[mode]:
        return None
    members: JsonObject = msgspec.to_builtins(event)
    return SessionRecord("event_msg", {name: members[name] for name in members if (kind, name) not in NOT_STORED})


def turn_context(
    *,
    turn_id: TurnId,
    cwd: str,
    model: str,
    approval_policy: ApprovalPolicy,
    sandbox_policy: Mapping[str, object],
    effort: str | None = None,
    more: Mapping[str, object] | None = None,
) -> SessionRecord:
    """Return the settings of a turn as the model was told. `sandbox_policy` is tagged by `type`."""
    payload: JsonObject = {
        "turn_id": turn_id,
        "cwd": cwd,
        "approval_policy": approval_policy,
        "sandbox_policy": sandbox_policy,
        "model": model,
        "summary": "auto",
        **({} if effort is None else {"effort": effort}),
        **(more or {}),
    }
    return SessionRecord("turn_context", payload)


def compacted(summary: str, history: Sequence[Mapping[str, object]], window_number: int) -> SessionRecord:
    """Return the record that replaces all items before it by a new history."""
    return SessionRecord(
        "compacted", {"message": summary, "replacement_history": history, "window_number": window_number}
    )
