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
from greenroom.protocol.telemetry.timings import (
    AttemptOutcome,
    DecisionTiming,
    RequestTiming,
    ToolEnd,
    ToolOrigin,
    ToolTiming,
)
from greenroom.protocol.version import __version__
from greenroom.supervisor.telemetry.otlp_binary import (
    LATEST,
    Attribute,
    Attributes,
    Pairs,
    log_part,
    log_record,
    nanoseconds,
    pairs,
)
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer

_TIMESTAMP: Final = Attribute("event.timestamp")
_DURATION: Final = Attribute("duration_ms")
_CALL_ID: Final = Attribute("call_id")
_ARGUMENTS: Final = Attribute("arguments_length")
_OUTPUT_LENGTH: Final = Attribute("output_length")
_INPUT: Final = Attribute("input_token_count")
_OUTPUT: Final = Attribute("output_token_count")
_CACHED: Final = Attribute("cached_token_count")
_REASONING: Final = Attribute("reasoning_token_count")
_TOTAL: Final = Attribute("tool_token_count")


class TelemetryEvent(NamedTuple):
    """What has happened, without whom it has happened to."""

    name: str
    at: int
    """Nanoseconds since the epoch."""
    pairs: Pairs
    """Its attributes, which are encoded once for the span and for the log."""


class TelemetryEvents(Protocol):
    """Where events are sent."""

    def emit(self, event: TelemetryEvent, about: Pairs, place: bytes = b"") -> None:
        """Send an event; `about` are further attributes, and `place` is the part of the span that it belongs to."""


class NoEventLog:
    """Sends nothing."""

    def emit(self, event: TelemetryEvent, about: Pairs, place: bytes = b"") -> None:
        """Do nothing."""


class LoggedEvents:
    """Sends events as log records of OpenTelemetry."""

    def __init__(self, records: RecordBuffer) -> None:
        """`records` takes `opentelemetry.proto.logs.v1.LogRecord`."""
        self._records = records
        self._shared: dict[str, bytes] = {}
        """What all events of a name have in common."""

    def emit(self, event: TelemetryEvent, about: Pairs, place: bytes = b"") -> None:
        """Send an event."""
        name, at, told = event
        part = self._shared.get(name) or self._share(name)
        attached = (_TIMESTAMP.text(iso_timestamp(at)), *about, *told)
        self._records.add(log_record(part, place, at, time.time_ns(), attached))

    def _share(self, name: str) -> bytes:
        attributes = pairs({"event.name": name, "app.version": __version__})
        shared = self._shared[name] = log_part(name, SEVERITY_NUMBER_INFO, attributes)
        return shared


def iso_timestamp(at: int) -> str:
    """Return a moment in nanoseconds since the epoch as ISO 8601 has it, in UTC with milliseconds."""
    second, milliseconds = divmod((at + 500_000) // 1_000_000, 1000)
    return f"{_second(second)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    """Return a whole second; events come in groups, and to write one takes longer than the rest of an event."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class PromptFacts(NamedTuple):
    """The input of a turn."""

    text: str
    """Empty where it is not asked for."""
    counts: Attributes
    """What is known of it without its text."""


def user_prompt(items: bytes, *, with_text: bool) -> PromptFacts:
    """Return the facts of a turn's input, a JSON array of items."""
    texts: list[str] = []
    images = local = 0
    for item in _decode_items(items):
        match item.type:
            case "text":
                texts.append(item.text)
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
    return PromptFacts(text if with_text else "", counts)


def of_request(timing: RequestTiming, longest: int | None = None) -> Iterator[TelemetryEvent]:
    """Yield the events of a model request; `longest` is how many characters a text in one may have."""
    answered_at = 0
    for number, attempt in enumerate(timing.attempts):
        answered_at = nanoseconds(attempt.started_at + attempt.seconds)
        took = _DURATION.integer(_milliseconds(attempt.seconds))
        yield TelemetryEvent("codex.api_request", answered_at, (took, *_attempt(number, attempt.outcome, longest)))
    if (usage := timing.usage) is not None:
        ended_at = nanoseconds(timing.started_at + timing.seconds)
        counts = (
            *_completed(longest),
            _INPUT.integer(usage.input),
            _OUTPUT.integer(usage.output),
            _CACHED.integer(usage.cached_input),
            _REASONING.integer(usage.reasoning_output),
            _TOTAL.integer(usage.input + usage.output),
        )
        # measured apart, so that it may come out earlier
        yield TelemetryEvent("codex.sse_event", max(ended_at, answered_at), counts)


@lru_cache(maxsize=1)
def _completed(longest: int | None) -> Pairs:
    return pairs({"event.kind": "response.completed"}, longest)


@lru_cache(maxsize=64)
def _attempt(number: int, outcome: AttemptOutcome, longest: int | None) -> Pairs:
    facts: Attributes = {"attempt": number, "success": _flag(outcome == "ok")}
    if outcome.isdecimal():
        facts["http.response.status_code"] = int(outcome)
    if outcome != "ok":
        facts["error.message"] = outcome
    return tuple(pairs(facts, longest))


def tool_result(timing: ToolTiming, longest: int | None = None) -> TelemetryEvent:
    """Return the event of the end of a tool call."""
    facts = (
        _CALL_ID.text(timing.call_id[:longest]),
        _DURATION.integer(_milliseconds(timing.seconds)),
        _ARGUMENTS.integer(timing.arguments_size),
        _OUTPUT_LENGTH.integer(timing.output_size),
        *_tool(timing.name, timing.origin, timing.end, longest),
    )
    return TelemetryEvent("codex.tool_result", nanoseconds(timing.started_at + timing.seconds), facts)


@lru_cache(maxsize=64)
def _tool(name: str, origin: ToolOrigin, end: ToolEnd, longest: int | None) -> Pairs:
    facts: Attributes = {
        "tool_name": name or origin,
        "success": _flag(end == "ok"),
        "tool_origin": origin,
        "mcp_tool": origin == "mcp",
    }
    return tuple(pairs(facts, longest))


def tool_decision(timing: DecisionTiming, longest: int | None = None) -> TelemetryEvent:
    """Return the event of a decision."""
    facts: Attributes = {
        "tool_name": timing.tool or timing.kind,
        "call_id": timing.call_id,
        "decision": timing.verdict,
        "source": timing.by,
    }
    at = nanoseconds(timing.started_at + timing.seconds)
    return TelemetryEvent("codex.tool_decision", at, pairs(facts, longest))


def conversation_starts(configured: bytes, at: float, longest: int | None = None) -> TelemetryEvent:
    """Return the event of a beginning, from the event `session_configured`. `at` is in seconds since the epoch."""
    told = msgspec.json.decode(configured, type=_Configured)
    facts = {
        "provider_name": told.model_provider_id,
        "model": told.model,
        "reasoning_effort": told.reasoning_effort,
        "approval_policy": told.approval_policy,
    }
    known = pairs({name: fact for name, fact in facts.items() if fact}, longest)
    return TelemetryEvent("codex.conversation_starts", nanoseconds(at), known)


def conversation_pairs(conversation_id: ConversationId, longest: int | None = None) -> Pairs:
    """Return the attributes that all events of a conversation have in the log."""
    return pairs({"conversation.id": conversation_id}, longest)


class _Item(msgspec.Struct, frozen=True):
    """The part of an item of an input that counts."""

    type: str = ""
    text: str = ""


_decode_items: Final = msgspec.json.Decoder(list[_Item]).decode


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
