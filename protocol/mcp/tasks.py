"""The extension `io.modelcontextprotocol/tasks` of MCP 2026-07-28: a long call continues as a task.

A task can be queried, given the user's answers and stopped under its own id, also by a later run of the server. Its
record is stored beside the sessions; this module defines the record and how clients see it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import encode
from greenroom.protocol.mcp.stateless import ELICIT, TASKS

POLL_MS: Final = 1000
"""Milliseconds between two queries of a client."""
KEPT_FOR: Final = 24 * 3600.0
"""Seconds for which an ended task can be queried."""

TaskStatus: TypeAlias = Literal["working", "input_required", "completed", "cancelled"]
"""The state of a task. `failed` is not used: it is for protocol errors, whereas failures here are tool results."""


class Missing(NamedTuple):
    """The error for a client that uses tasks without declaring them."""

    text: str
    facts: Mapping[str, object]


MISSING: Final = Missing("Missing required client capability", {"requiredCapabilities": {"extensions": {TASKS: {}}}})


class TaskRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as stored on disk. Times are in seconds since the epoch."""

    id: str
    conversation_id: ConversationId
    run: str
    """The run of the server that executes it."""
    created_at: float
    updated_at: float
    status: TaskStatus = "working"
    message: str = ""
    """What it is doing, or how it ended, for people."""
    questions: dict[str, msgspec.Raw] = {}
    """Params of `elicitation/create` by their keys, while it waits for answers."""
    result: msgspec.Raw = msgspec.Raw(b"")
    """The result of `tools/call`, once it is completed."""
    unknown: dict[str, msgspec.Raw] = {}
    """Members written by another release; they are preserved."""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ("completed", "cancelled")

    @property
    def time_to_live(self) -> float | None:
        """Seconds from its creation after which it is deleted, `None` while it is running."""
        return self.updated_at - self.created_at + KEPT_FOR if self.has_ended else None

    def is_forgotten(self, now: float) -> bool:
        """Tell whether it is to be deleted."""
        return self.time_to_live is not None and now > self.created_at + self.time_to_live


_KNOWN: Final = frozenset(TaskRecord.__struct_fields__) - {"unknown"}
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_record(data: bytes) -> TaskRecord:
    """Read a task from the disk. Raises `msgspec.MsgspecError`."""
    members = _decode_members(data)
    known = msgspec.json.encode({name: value for name, value in members.items() if name in _KNOWN})
    unknown = {name: value for name, value in members.items() if name not in _KNOWN}
    return msgspec.structs.replace(msgspec.json.decode(known, type=TaskRecord), unknown=unknown)


def encode_record(record: TaskRecord) -> bytes:
    """Return a task in its form on disk."""
    known = _decode_members(msgspec.json.encode(msgspec.structs.replace(record, unknown={})))
    return msgspec.json.encode(known | record.unknown)


class TaskParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `tasks/get`, `tasks/update` and `tasks/cancel`."""

    task_id: str
    input_responses: dict[str, msgspec.Raw] = {}


decode_params: Final = msgspec.json.Decoder(TaskParams).decode


def completed(record: TaskRecord, result: bytes, now: float) -> TaskRecord:
    """Return a task that has ended with the call's result."""
    return msgspec.structs.replace(
        record, status="completed", message="", questions={}, result=msgspec.Raw(result), updated_at=now
    )


def cancelled(record: TaskRecord, now: float) -> TaskRecord:
    """Return a task that was stopped. It has no result, so the message names the conversation."""
    text = f"Turn aborted: interrupted. codex-reply goes on with conversation {record.conversation_id}."
    return msgspec.structs.replace(record, status="cancelled", message=text, questions={}, updated_at=now)


def waiting(record: TaskRecord, questions: Mapping[str, bytes], now: float) -> TaskRecord:
    """Return a task with the questions that are open now, if any."""
    raw = {key: msgspec.Raw(params) for key, params in questions.items()}
    return msgspec.structs.replace(
        record, status="input_required" if raw else "working", message="", questions=raw, updated_at=now
    )


def task_form(record: TaskRecord) -> dict[str, object]:
    """Return a task in the form for clients."""
    lasting = record.time_to_live
    seen: dict[str, object] = {
        "taskId": record.id,
        "status": record.status,
        "createdAt": _timestamp(record.created_at),
        "lastUpdatedAt": _timestamp(record.updated_at),
        "ttlMs": None if lasting is None else int(lasting * 1000),
    }
    if not record.has_ended:
        seen["pollIntervalMs"] = POLL_MS
    if record.message:
        seen["statusMessage"] = record.message
    if record.status == "input_required":
        seen["inputRequests"] = {key: {"method": ELICIT, "params": params} for key, params in record.questions.items()}
    if record.status == "completed":
        seen["result"] = record.result
    return seen


def creation_result(record: TaskRecord) -> bytes:
    """Return the result of a call that continues as a task."""
    seen = task_form(record)
    handle = {name: seen[name] for name in seen if name not in ("inputRequests", "result")}
    return encode({"resultType": "task", **handle})


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
