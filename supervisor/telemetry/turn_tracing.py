"""One trace for each call: spans of the call, of its wait, of the turn in its worker, and of the parts of the turn.

Names and attributes are those of OpenTelemetry's conventions for generative AI and for MCP, and beside them those of
the reference. No text of the user, of the model or of a server is among them, but for prompts where the settings say
so.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.protocol.timings import DecisionTiming, RequestTiming, Timing, ToolTiming
from greenroom.protocol.trace_context import TraceContext
from greenroom.supervisor.conversations.turn import Moment, Turn
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.events import Attributes, TelemetryEvents
from greenroom.supervisor.telemetry.planned_ids import PlannedIds

AGENT: Final = "codex"
LONGEST: Final = 256
"""Characters of what a client has chosen, such as the id of a request."""
_PROVIDERS: Final[Mapping[str, str]] = {"openai": "openai", "azure": "azure.ai.openai"}
"""Names of the conventions for providers of the configuration; others keep their own."""

_SPAN_ID: Final = re.compile("[0-9a-f]{16}")

SpanId: TypeAlias = int


class _Spans:
    """The open spans of one turn."""

    __slots__ = ("agent", "call", "planned")

    def __init__(self, call: Span) -> None:
        self.call = call
        self.agent: Span | None = None
        """Stands for the turn in its worker."""
        self.planned: dict[str, SpanId] = {}
        """Ids of the spans of tool calls that have begun, by the ids of the calls."""


class TurnTracing:
    """Follows the turns of one instance (`greenroom.supervisor.conversations.turn.TurnProbe`)."""

    def __init__(
        self,
        tracer: Tracer,
        ids: PlannedIds,
        log: TelemetryEvents,
        *,
        log_user_prompt: bool = False,
        propagates: bool = True,
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`ids` are those of the spans of `tracer`; `extra` are attributes of every span.

        `propagates` tells whether model servers are told of the spans.
        """
        self._tracer, self._ids, self._log = tracer, ids, log
        self._logs_prompts, self._propagates = log_user_prompt, propagates
        self._extra = dict(extra)
        self._open: dict[TurnId, _Spans] = {}

    def accepted(self, turn: Turn) -> None:
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
        name = f"{origin.method} {origin.tool}".rstrip()
        call = self._begin(name, _remote(origin.trace), turn.accepted_at, attributes, SpanKind.SERVER)
        self._open[turn.id] = _Spans(call)
        if turn.items:
            facts = events.user_prompt(turn.items)
            call.add_event("codex.user_prompt", facts.counts)
            said = facts.text if self._logs_prompts else "[REDACTED]"
            self._log.emit(
                "codex.user_prompt", turn.conversation_id, facts.counts | {"prompt": said}, set_span_in_context(call)
            )

    def started(self, turn: Turn, incarnation: Incarnation) -> TraceContext | None:
        """Begin the span of the turn in its worker. One of an earlier worker, which has died, ends."""
        spans = self._open.get(turn.id)
        if spans is None:
            return None
        now, parent = Moment.now(), set_span_in_context(spans.call)
        if spans.agent is not None:
            _close(spans.agent, now, "worker_crashed")
        elif turn.accepted_at is not None:
            self._begin("greenroom.wait", parent, turn.accepted_at, {}).end(_ns(now))
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": AGENT,
            "gen_ai.conversation.id": turn.conversation_id,
            "greenroom.turn.id": turn.id,
            "greenroom.incarnation": incarnation,
        }
        spans.agent = self._begin(f"invoke_agent {AGENT}", parent, now, attributes)
        spans.planned.clear()
        return _told(spans.agent.get_span_context()) if self._propagates else None

    def timed(self, turn: Turn, timings: Sequence[Timing], dropped: int) -> None:
        """Make the spans of what is complete."""
        spans = self._open.get(turn.id)
        if spans is None or spans.agent is None:
            return
        if dropped:
            spans.agent.set_attribute("greenroom.dropped_timings", dropped)
        for timing in timings:
            match timing:
                case RequestTiming():
                    self._request(turn, spans.agent, timing)
                case ToolTiming():
                    self._tool(turn, spans, spans.agent, timing)
                case DecisionTiming():
                    self._decision(turn, spans, spans.agent, timing)

    def ended(self, turn: Turn, failure: Failure | None) -> None:
        """End the spans of the turn and of the call."""
        spans = self._open.pop(turn.id, None)
        if spans is None:
            return
        now, error = Moment.now(), None if failure is None else failure.kind
        if spans.agent is not None:
            _close(spans.agent, now, error)
        _close(spans.call, now, error)

    def _request(self, turn: Turn, agent: Span, timing: RequestTiming) -> None:
        host, _, port = timing.server.rpartition(":")
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(timing.provider, timing.provider),
            "gen_ai.request.model": timing.model,
            "gen_ai.conversation.id": turn.conversation_id,
            "server.address": host or timing.server,
            "greenroom.attempts": sum(timing.outcomes.values()),
        }
        if port.isdecimal() and host:
            attributes["server.port"] = int(port)
        if timing.first_token is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = timing.first_token
        if (usage := timing.usage) is not None:
            attributes |= {
                "gen_ai.usage.input_tokens": usage.input,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
                "gen_ai.usage.output_tokens": usage.output,
                "codex.usage.reasoning_output_tokens": usage.reasoning_output,
            }
        planned = _span_id(timing.span_id) if agent.is_recording() else None
        span = self._part(f"chat {timing.model}".rstrip(), agent, timing, attributes, SpanKind.CLIENT, planned)
        inside = set_span_in_context(span)
        for name, at, facts in events.of_request(timing):
            span.add_event(name, facts, round(at * 1e9))
            self._log.emit(name, turn.conversation_id, facts | {"model": timing.model}, inside, at)
        _end_part(span, timing, timing.error)

    def _tool(self, turn: Turn, spans: _Spans, agent: Span, timing: ToolTiming) -> None:
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": timing.name or timing.origin,
            "gen_ai.tool.call.id": timing.call_id,
            "gen_ai.tool.type": "function",
            "greenroom.tool.origin": timing.origin,
        }
        planned = spans.planned.pop(timing.call_id, None)
        name = f"execute_tool {timing.name or timing.origin}"
        span = self._part(name, agent, timing, attributes, SpanKind.INTERNAL, planned)
        facts = events.tool_result(timing)
        end = timing.started_at + timing.seconds
        span.add_event("codex.tool_result", facts, round(end * 1e9))
        self._log.emit("codex.tool_result", turn.conversation_id, facts, set_span_in_context(span), end)
        _end_part(span, timing, None if timing.end == "ok" else timing.end)

    def _decision(self, turn: Turn, spans: _Spans, agent: Span, timing: DecisionTiming) -> None:
        """Make the span of a decision, inside that of a tool call which has not ended and so has none yet."""
        attributes: Attributes = {
            "greenroom.question.kind": timing.kind,
            "greenroom.decision": timing.verdict,
            "greenroom.decided_by": timing.by,
        }
        parent = agent
        if timing.call_id and agent.is_recording():
            planned = spans.planned.setdefault(timing.call_id, self._ids.plan())
            context = agent.get_span_context()
            parent = NonRecordingSpan(SpanContext(context.trace_id, planned, False, context.trace_flags))
        span = self._part("greenroom.approval", parent, timing, attributes)
        facts = events.tool_decision(timing)
        end = timing.started_at + timing.seconds
        span.add_event("codex.tool_decision", facts, round(end * 1e9))
        self._log.emit("codex.tool_decision", turn.conversation_id, facts, set_span_in_context(span), end)
        _end_part(span, timing, None)

    def _begin(
        self,
        name: str,
        parent: Context | None,
        at: Moment | None,
        attributes: Attributes,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        at = at or Moment.now()
        return self._tracer.start_span(name, parent, kind, {**self._extra, **attributes}, start_time=_ns(at))

    def _part(
        self,
        name: str,
        parent: Span,
        timing: Timing,
        attributes: Attributes,
        kind: SpanKind = SpanKind.INTERNAL,
        planned: SpanId | None = None,
    ) -> Span:
        """Begin the span of a part, with an id that others have been told of, if there is one."""
        with self._ids.next_is(planned):
            return self._tracer.start_span(
                name,
                set_span_in_context(parent),
                kind,
                {**self._extra, **attributes},
                start_time=round(timing.started_at * 1e9),
            )


def _remote(trace: TraceContext | None) -> Context | None:
    """Return the span of the client as a parent."""
    if trace is None:
        return Context()
    context = SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(trace.flags & TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([trace.state] if trace.state else []),
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _told(context: SpanContext) -> TraceContext:
    """Return a span as a worker is told of it."""
    return TraceContext(
        f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags), context.trace_state.to_header()
    )


def _span_id(text: str) -> SpanId | None:
    """Return the id of a span that a worker has chosen, `None` where it has not."""
    return (int(text, 16) or None) if _SPAN_ID.fullmatch(text) else None


def _ns(moment: Moment) -> int:
    return round(moment.at * 1e9)


def _close(span: Span, now: Moment, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(_ns(now))


def _end_part(span: Span, timing: Timing, error: str | None) -> None:
    end = timing.started_at + timing.seconds
    _close(span, Moment(end, 0.0), error)
