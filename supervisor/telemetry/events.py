"""Events of a conversation under the names that the reference has for them, and the log that they are sent to.

They hold lengths and numbers in place of texts. The text of a prompt is sent with `log_user_prompt` alone.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.timings import DecisionTiming, RequestTiming, ToolTiming
from greenroom.protocol.version import __version__

Attributes: TypeAlias = dict[str, str | int | float | bool]
_decode_items: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


class TelemetryEvents(Protocol):
    """Where events are sent."""

    def emit(
        self,
        name: str,
        conversation_id: ConversationId,
        attributes: Attributes,
        context: Context | None = None,
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
        context: Context | None = None,
        at: float | None = None,
    ) -> None:
        """Do nothing."""


class LoggedEvents:
    """Sends events as log records of OpenTelemetry."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def emit(
        self,
        name: str,
        conversation_id: ConversationId,
        attributes: Attributes,
        context: Context | None = None,
        at: float | None = None,
    ) -> None:
        """Send an event."""
        at = time.time() if at is None else at
        self._logger.emit(
            timestamp=round(at * 1e9),
            observed_timestamp=time.time_ns(),
            context=context,
            severity_number=SeverityNumber.INFO,
            event_name=name,
            attributes={
                "event.name": name,
                "event.timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
                "conversation.id": conversation_id,
                "app.version": __version__,
                **attributes,
            },
        )


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
            "duration_ms": round(attempt.seconds * 1000),
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
        "duration_ms": round(timing.seconds * 1000),
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


def _flag(value: bool) -> str:
    return "true" if value else "false"
