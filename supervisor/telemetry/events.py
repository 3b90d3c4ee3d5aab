"""Events of a conversation under the names that the reference has for them, and the log that they are sent to.

They hold lengths and numbers in place of texts. The text of a prompt is sent with `log_user_prompt` alone.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.timings import DecisionTiming, RequestTiming, ToolTiming
from greenroom.protocol.version import __version__
from greenroom.supervisor.telemetry.otlp_binary import LATEST, Attributes, log_part, log_record, pairs
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer

_decode_items: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


class SpanPlace(NamedTuple):
    """The span that an event belongs to."""

    trace_id: bytes
    span_id: bytes
    flags: int
    """1 where the trace is recorded, otherwise 0."""


_NO_SPAN: Final = SpanPlace(b"", b"", 0)


class TelemetryEvents(Protocol):
    """Where events are sent."""

    def emit(
        self,
        name: str,
        conversation_id: ConversationId,
        attributes: Attributes,
        place: SpanPlace | None = None,
        at: float | None = None,
    ) -> None:
        """Send an event of a moment in seconds since the epoch, or of now."""


class NoEventLog:
    """Sends nothing."""

    def emit(
        self,
        name: str,
        conversation_id: ConversationId,
        attributes: Attributes,
        place: SpanPlace | None = None,
        at: float | None = None,
    ) -> None:
        """Do nothing."""


class LoggedEvents:
    """Sends events as log records of OpenTelemetry."""

    def __init__(self, records: RecordBuffer) -> None:
        """`records` takes `opentelemetry.proto.logs.v1.LogRecord`."""
        self._records = records
        self._shared: dict[str, bytes] = {}
        """What all events of a name have in common."""

    def emit(
        self,
        name: str,
        conversation_id: ConversationId,
        attributes: Attributes,
        place: SpanPlace | None = None,
        at: float | None = None,
    ) -> None:
        """Send an event."""
        at = time.time() if at is None else at
        own: Attributes = {"event.timestamp": iso_timestamp(at), "conversation.id": conversation_id}
        part = self._shared.get(name) or self._share(name)
        attached = self._records.pairs(own | attributes)
        self._records.add(log_record(part, at, time.time_ns(), attached, *(place or _NO_SPAN)))

    def _share(self, name: str) -> bytes:
        attributes = pairs({"event.name": name, "app.version": __version__})
        shared = self._shared[name] = log_part(name, SEVERITY_NUMBER_INFO, attributes)
        return shared


def iso_timestamp(at: float) -> str:
    """Return a moment as ISO 8601 has it, in UTC with milliseconds; 1970 for one that no field can hold."""
    milliseconds = round(at * 1000) if 0.0 <= at <= LATEST else 0
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}+00:00"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    """Return a whole second; events come in groups, and to write one takes longer than the rest of an event."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class PromptFacts(NamedTuple):
    """The input of a turn."""

    text: str
    counts: Attributes
    """What is known of it without its text."""


def user_prompt(items: bytes) -> PromptFacts:
    """Return the facts of a turn's input, a JSON array of items."""
    texts: list[str] = []
    images = local = 0
    for item in _decode_items(items):
        match _decode_text(item.get("type", b'""')):
            case "text":
                texts.append(_decode_text(item["text"]))
            case "image":
                images += 1
            case "local_image" | "localImage":
                local += 1
    text = "".join(texts)
    counts: Attributes = {
        "prompt_length": len(text),
        "text_input_count": len(texts),
        "image_input_count": images,
        "local_image_input_count": local,
    }
    return PromptFacts(text, counts)


def of_request(timing: RequestTiming) -> Iterator[tuple[str, float, Attributes]]:
    """Yield the events of a model request: names, moments in seconds since the epoch, attributes."""
    answered_at = 0.0
    for number, attempt in enumerate(timing.attempts):
        facts: Attributes = {
            "attempt": number,
            "duration_ms": _milliseconds(attempt.seconds),
            "success": _flag(attempt.outcome == "ok"),
        }
        if attempt.outcome.isdecimal():
            facts["http.response.status_code"] = int(attempt.outcome)
        if attempt.outcome != "ok":
            facts["error.message"] = attempt.outcome
        answered_at = attempt.started_at + attempt.seconds
        yield "codex.api_request", answered_at, facts
    if (usage := timing.usage) is not None:
        yield (
            "codex.sse_event",
            max(timing.started_at + timing.seconds, answered_at),  # measured apart, so that it may come out earlier
            {
                "event.kind": "response.completed",
                "input_token_count": usage.input,
                "output_token_count": usage.output,
                "cached_token_count": usage.cached_input,
                "reasoning_token_count": usage.reasoning_output,
                "tool_token_count": usage.input + usage.output,
            },
        )


def tool_result(timing: ToolTiming) -> Attributes:
    """Return the attributes of the end of a tool call."""
    return {
        "tool_name": timing.name or timing.origin,
        "call_id": timing.call_id,
        "duration_ms": _milliseconds(timing.seconds),
        "success": _flag(timing.end == "ok"),
        "arguments_length": timing.arguments_size,
        "output_length": timing.output_size,
        "tool_origin": timing.origin,
        "mcp_tool": timing.origin == "mcp",
    }


def tool_decision(timing: DecisionTiming) -> Attributes:
    """Return the attributes of a decision."""
    return {
        "tool_name": timing.tool or timing.kind,
        "call_id": timing.call_id,
        "decision": timing.verdict,
        "source": timing.by,
    }


def conversation_starts(configured: bytes) -> Attributes:
    """Return the attributes of a beginning, from the event `session_configured`."""
    told = msgspec.json.decode(configured, type=_Configured)
    facts = {
        "provider_name": told.model_provider_id,
        "model": told.model,
        "reasoning_effort": told.reasoning_effort,
        "approval_policy": told.approval_policy,
    }
    return {name: fact for name, fact in facts.items() if fact}


class _Configured(msgspec.Struct, frozen=True):
    """The part of the event that is sent on."""

    model: str = ""
    model_provider_id: str = ""
    reasoning_effort: str | None = None
    approval_policy: str = ""


def _milliseconds(seconds: float) -> int:
    return round(max(0.0, min(seconds, LATEST)) * 1000)


def _flag(value: bool) -> str:
    return "true" if value else "false"
