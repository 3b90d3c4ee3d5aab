"""One trace for each call: spans of the call, of its wait, of the turn in its worker, and of the parts of the turn.

Names and attributes are those of OpenTelemetry's conventions for generative AI and for MCP, and beside them those of
the reference. No text of the user, of the model or of a server is among them, but for prompts where the settings say
so.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.timings import DecisionTiming, RequestTiming, Timing, ToolTiming
from greenroom.protocol.trace_context import TraceContext
from greenroom.supervisor.conversations.turn import ConversationTurn, Moment
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.events import SpanPlace, TelemetryEvents
from greenroom.supervisor.telemetry.otlp_binary import Attributes
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer
from greenroom.supervisor.telemetry.trace import OpenSpan, Trace, begin_trace, new_span_id

AGENT: Final = "codex"
LONGEST: Final = 256
"""Characters of what a client has chosen, such as the id of a request."""
_PROVIDERS: Final[Mapping[str, str]] = {"openai": "openai", "azure": "azure.ai.openai"}
"""Names of the conventions for providers of the configuration; others keep their own."""

_SPAN_ID: Final = re.compile("(?!0{16})[0-9a-f]{16}")
_DEFAULT_SAMPLER: Final = ParentBased(ALWAYS_ON)
_NOWHERE: Final = SpanPlace(b"", b"", 0)


class _OpenTool(NamedTuple):
    """A tool call that has not ended, of which only a decision has been told."""

    span_id: bytes
    name: str
    start: float
    """Seconds since the epoch, of its first decision."""


class _TracedTurn:
    """The open spans of one turn."""

    __slots__ = ("agent", "call", "chats", "tools", "trace")

    def __init__(self, trace: Trace, call: OpenSpan) -> None:
        self.trace, self.call = trace, call
        self.agent: OpenSpan | None = None
        """Stands for the turn in its worker."""
        self.tools: dict[str, _OpenTool] = {}
        """By the ids of the calls."""
        self.chats: dict[tuple[str, str, str], bytes] = {}
        """What the spans of model requests have in common, by model, provider and server."""


class TurnTracing:
    """Follows the turns of one instance (`greenroom.supervisor.conversations.turn.TurnProbe`)."""

    def __init__(
        self,
        spans: RecordBuffer | None,
        log: TelemetryEvents,
        *,
        sampler: Sampler = _DEFAULT_SAMPLER,
        log_user_prompt: bool = False,
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """With `spans` being `None` events alone are sent, and model servers are not told of spans.

        `sampler` decides which traces are recorded; `extra` are attributes of every span.
        """
        self._spans, self._log, self._sampler = spans, log, sampler
        self._logs_prompts = log_user_prompt
        self._extra = extra
        self._open: dict[TurnId, _TracedTurn] = {}

    def accepted(self, turn: ConversationTurn) -> None:
        """Begin the span of the call."""
        origin = turn.origin
        attributes: Attributes = {
            "gen_ai.conversation.id": turn.conversation_id,
            "greenroom.turn.id": turn.id,
            "greenroom.call.kind": turn.kind,
        }
        if origin.request_id:
            attributes["jsonrpc.request.id"] = origin.request_id[:LONGEST]
        if origin.tool:
            attributes |= {
                "mcp.method.name": origin.method,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": origin.tool,
            }
        at = (turn.accepted_at or Moment.now()).at
        name = f"{origin.method} {origin.tool}".rstrip()
        call = OpenSpan(_NOWHERE, name, at, attributes, kind=SpanKind.SERVER)
        trace = begin_trace(self._spans, self._sampler, origin.trace, self._extra, call)
        self._open[turn.id] = _TracedTurn(trace, call)
        if turn.items:
            facts = events.user_prompt(turn.items)
            call.events.append(trace.event("codex.user_prompt", at, facts.counts))
            said = facts.text if self._logs_prompts else "[REDACTED]"
            self._log.emit("codex.user_prompt", turn.conversation_id, facts.counts | {"prompt": said}, call.place)

    def started(self, turn: ConversationTurn, incarnation: Incarnation) -> TraceContext | None:
        """Begin the span of the turn in its worker. One of an earlier worker, which has died, ends."""
        traced = self._open.get(turn.id)
        if traced is None:
            return None
        now, trace, call = Moment.now(), traced.trace, traced.call.place.span_id
        if traced.agent is not None:
            _end_agent(traced, traced.agent, now, "worker_crashed")
        elif turn.accepted_at is not None:
            trace.write(trace.place(), "greenroom.wait", (turn.accepted_at.at, now.at), {}, parent=call)
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": AGENT,
            "gen_ai.conversation.id": turn.conversation_id,
            "greenroom.turn.id": turn.id,
            "greenroom.incarnation": incarnation,
        }
        traced.agent = OpenSpan(trace.place(), f"invoke_agent {AGENT}", now.at, attributes, call)
        return None if self._spans is None else trace.context(traced.agent.place)

    def timed(self, turn: ConversationTurn, timings: Sequence[Timing], dropped: int) -> None:
        """Make the spans of what is complete."""
        traced = self._open.get(turn.id)
        if traced is None or traced.agent is None:
            return
        if dropped:
            traced.agent.attributes["greenroom.dropped_timings"] = dropped
        agent = traced.agent.place.span_id
        for timing in timings:
            match timing:
                case RequestTiming():
                    self._request(turn.conversation_id, traced, agent, timing)
                case ToolTiming():
                    self._tool(turn.conversation_id, traced, agent, timing)
                case DecisionTiming():
                    self._decision(turn.conversation_id, traced, agent, timing)

    def ended(self, turn: ConversationTurn, failure: Failure | None) -> None:
        """End the spans of the turn and of the call."""
        traced = self._open.pop(turn.id, None)
        if traced is None:
            return
        now, error = Moment.now(), None if failure is None else failure.kind
        if traced.agent is not None:
            _end_agent(traced, traced.agent, now, error)
        traced.trace.end(traced.call, now, error)

    def _request(
        self, conversation_id: ConversationId, traced: _TracedTurn, agent: bytes, timing: RequestTiming
    ) -> None:
        trace, attributes = traced.trace, _of_request(timing)
        place = trace.place(_span_id(timing.span_id))
        told = []
        for name, at, facts in events.of_request(timing):
            told.append(trace.event(name, at, facts))
            self._log.emit(name, conversation_id, facts | {"model": timing.model}, place, at)
        subject = (timing.model, timing.provider, timing.server)
        shared = traced.chats.get(subject)
        if shared is None:
            shared = traced.chats[subject] = trace.shared(_common(conversation_id, timing))
        trace.write(
            place,
            f"chat {timing.model}".rstrip(),
            _times(timing),
            attributes,
            parent=agent,
            kind=SpanKind.CLIENT,
            events=told,
            error=timing.error,
            shared=shared,
        )

    def _tool(self, conversation_id: ConversationId, traced: _TracedTurn, agent: bytes, timing: ToolTiming) -> None:
        name = timing.name or timing.origin
        attributes = _of_tool(name, timing.call_id) | {"greenroom.tool.origin": timing.origin}
        trace, times, facts = traced.trace, _times(timing), events.tool_result(timing)
        begun = traced.tools.pop(timing.call_id, None)
        place = trace.place(None if begun is None else begun.span_id)
        self._log.emit("codex.tool_result", conversation_id, facts, place, times[1])
        told = [trace.event("codex.tool_result", times[1], facts)]
        error = None if timing.end == "ok" else timing.end
        trace.write(place, f"execute_tool {name}", times, attributes, parent=agent, events=told, error=error)

    def _decision(
        self, conversation_id: ConversationId, traced: _TracedTurn, agent: bytes, timing: DecisionTiming
    ) -> None:
        """Make the span of a decision, inside that of a tool call which has not ended and so has none yet."""
        attributes: Attributes = {
            "greenroom.question.kind": timing.kind,
            "greenroom.decision": timing.verdict,
            "greenroom.decided_by": timing.by,
        }
        trace, times, facts = traced.trace, _times(timing), events.tool_decision(timing)
        parent = agent
        if timing.call_id:
            begun = traced.tools.get(timing.call_id)
            if begun is None:
                begun = traced.tools[timing.call_id] = _OpenTool(
                    new_span_id(), timing.tool or timing.kind, timing.started_at
                )
            parent = begun.span_id
        place = trace.place()
        self._log.emit("codex.tool_decision", conversation_id, facts, place, times[1])
        told = [trace.event("codex.tool_decision", times[1], facts)]
        trace.write(place, "greenroom.approval", times, attributes, parent=parent, events=told)


def _end_agent(traced: _TracedTurn, agent: OpenSpan, now: Moment, error: str | None) -> None:
    """End the span of the turn in a worker, and those of tool calls whose end it has not told."""
    for call_id, tool in traced.tools.items():
        traced.trace.write(
            traced.trace.place(tool.span_id),
            f"execute_tool {tool.name}",
            (tool.start, max(now.at, tool.start)),
            _of_tool(tool.name, call_id),
            parent=agent.place.span_id,
            error=error,
        )
    traced.tools.clear()
    traced.trace.end(agent, now, error)


def _of_tool(name: str, call_id: str) -> Attributes:
    """Return the attributes of every tool call."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": call_id,
        "gen_ai.tool.type": "function",
    }


def _of_request(timing: RequestTiming) -> Attributes:
    """Return the attributes that a model request has for itself."""
    attributes: Attributes = {"greenroom.attempts": sum(timing.outcomes.values())}
    if timing.first_token is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = timing.first_token
    if (usage := timing.usage) is not None:
        attributes |= {
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
            "gen_ai.usage.output_tokens": usage.output,
            "codex.usage.reasoning_output_tokens": usage.reasoning_output,
        }
    return attributes


def _common(conversation_id: ConversationId, timing: RequestTiming) -> Attributes:
    """Return the attributes that all requests of a turn to one model have in common."""
    host, _, port = timing.server.rpartition(":")
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(timing.provider, timing.provider),
        "gen_ai.request.model": timing.model,
        "gen_ai.conversation.id": conversation_id,
        "server.address": host or timing.server,
    }
    if port.isdecimal() and host:
        attributes["server.port"] = int(port)
    return attributes


def _times(timing: Timing) -> tuple[float, float]:
    """Return when it began and ended, in seconds since the epoch."""
    return timing.started_at, timing.started_at + timing.seconds


def _span_id(text: str) -> bytes | None:
    """Return the id of a span that a worker has chosen, `None` where it has not."""
    return bytes.fromhex(text) if _SPAN_ID.fullmatch(text) else None
