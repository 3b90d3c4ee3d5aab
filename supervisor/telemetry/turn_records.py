"""The spans and events of one turn: of its call, its wait, the turn in its worker, and the parts of the turn.

Names and attributes are those of OpenTelemetry's conventions for generative AI and for MCP, and beside them those of
the reference. No text of the user, of the model or of a server is among them, but for prompts where the settings say
so.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from greenroom.protocol.ids import Incarnation
from greenroom.protocol.telemetry.timings import (
    DecisionTiming,
    OpenPart,
    OpenRequest,
    RequestTiming,
    Timing,
    ToolOrigin,
    ToolTiming,
)
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.events import TelemetryEvent, TelemetryEvents, conversation_pairs
from greenroom.supervisor.telemetry.otlp_binary import Attribute, Attributes, Pairs, Scalar, nanoseconds, pairs
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer
from greenroom.supervisor.telemetry.trace import CLIENT, INTERNAL, SERVER, Root, Trace, TracedCall, new_span_id

AGENT: Final = "codex"
_PROVIDERS: Final[Mapping[str, str]] = {"openai": "openai", "azure": "azure.ai.openai"}
"""Names of the conventions for providers of the configuration; others keep their own."""
_SPAN_ID: Final = re.compile("(?!0{16})[0-9a-f]{16}")

_ATTEMPTS: Final = Attribute("greenroom.attempts")
_FIRST_TOKEN: Final = Attribute("gen_ai.response.time_to_first_chunk")
_INPUT: Final = Attribute("gen_ai.usage.input_tokens")
_CACHED: Final = Attribute("gen_ai.usage.cache_read.input_tokens")
_OUTPUT: Final = Attribute("gen_ai.usage.output_tokens")
_REASONING: Final = Attribute("codex.usage.reasoning_output_tokens")
_CALL_ID: Final = Attribute("gen_ai.tool.call.id")
_INCARNATION: Final = Attribute("greenroom.incarnation")
_DROPPED: Final = Attribute("greenroom.dropped_timings")


class LongestTexts(NamedTuple):
    """How many characters of a text are sent; `None` where there is no limit."""

    span: int | None = None
    """In an attribute of a span."""
    event: int | None = None
    """In one of an event."""


class Destination(NamedTuple):
    """Where records are written, and what holds for all of them."""

    spans: RecordBuffer | None
    """`None`: no spans are written."""
    log: TelemetryEvents
    takes_prompts: bool = False
    """Whether the text of prompts is sent."""
    extra: Pairs = ()
    """Attributes of every span."""
    longest: LongestTexts = LongestTexts()

    def pairs(self, attributes: Mapping[str, Scalar]) -> Pairs:
        """Return attributes of a span."""
        return pairs(attributes, self.longest.span)


class Agent(NamedTuple):
    """A turn in a worker."""

    span_id: bytes
    incarnation: Incarnation
    start: float
    """Seconds since the epoch."""


class _OpenTool(NamedTuple):
    """A tool call that has not ended, of which only a decision has been told."""

    span_id: bytes
    name: str
    start: int
    """Nanoseconds since the epoch, of its first decision."""


class _Chats(NamedTuple):
    """What the model requests of a turn to one model have in common."""

    head: bytes
    """Of their spans."""
    about: Pairs
    """Of their events in the log."""


class TurnRecords:
    """Those of one turn. `begin` is called first, `end` last."""

    def __init__(self, to: Destination, call: TracedCall, root: Root) -> None:
        self.call, self.root = call, root
        self._to = to
        self._agent: Agent | None = None
        """The turn in its present worker."""
        self._open_parts: Sequence[OpenPart] = ()
        """What the worker was doing when it told of it last."""
        self._dropped = 0
        """Parts that the worker has not told."""
        self._tools: dict[str, _OpenTool] = {}
        """By the ids of the calls."""
        self._heads: dict[tuple[str, ToolOrigin | None], bytes] = {}
        """What the spans of calls of a tool have in common, by its name and origin."""
        self._chats: dict[tuple[str, str, str], _Chats] = {}
        """By model, provider and server."""

    def begin(self) -> None:
        """Write what the call has brought."""
        call, longest = self.call, self._to.longest.event
        self._trace = Trace(self._to.spans, self.root, self._to.extra)
        self._about = conversation_pairs(call.conversation_id, longest)
        self._told: tuple[TelemetryEvent, ...] = ()
        if call.prompt is not None:
            asked = TelemetryEvent("codex.user_prompt", nanoseconds(call.at), pairs(call.prompt.counts, longest))
            self._told = (asked,)
            said = pairs({"prompt": call.prompt.text if self._to.takes_prompts else "[REDACTED]"}, longest)
            self._to.log.emit(asked, (*self._about, *said), self._trace.place(self.root.span_id))

    def start(self, agent: Agent) -> None:
        """Begin the span of the turn in a worker. One of an earlier worker, which has died, ends."""
        now = nanoseconds(agent.start)
        if self._agent is not None:
            self._end_agent(self._agent, now, "worker_crashed")
        else:
            head, accepted = self._trace.head("greenroom.wait"), nanoseconds(self.call.at)
            self._trace.write(head, new_span_id(), self.root.span_id, accepted, now)
        self._agent = agent

    def time(self, timings: Sequence[Timing], dropped: int, open_parts: Sequence[OpenPart]) -> None:
        """Write the spans of what is complete; so many other parts are not known, and these have not ended."""
        if self._agent is None:
            return
        self._dropped += dropped
        self._open_parts = open_parts
        parent = self._agent.span_id
        for timing in timings:
            if isinstance(timing, RequestTiming):
                self._request(parent, timing)
            elif isinstance(timing, ToolTiming):
                self._tool(parent, timing)
            else:
                self._decision(parent, timing)

    def end(self, at: float, error: str | None) -> None:
        """End the spans of the turn and of the call, in seconds since the epoch."""
        now, call, root = nanoseconds(at), self.call, self.root
        if self._agent is not None:
            self._end_agent(self._agent, now, error)
        attributes = self._to.pairs({**call.attributes, **root.attributes})
        head = self._trace.head(call.name, SERVER, attributes, is_remote=call.origin.trace is not None)
        self._trace.write(head, root.span_id, root.parent, nanoseconds(call.at), now, events=self._told, error=error)

    def _request(self, parent: bytes, timing: RequestTiming) -> None:
        trace, chats = self._trace, self._chats_of(timing)
        span_id = _span_id(timing.span_id) or new_span_id()
        place, told = trace.place(span_id), [*events.of_request(timing, self._to.longest.event)]
        for event in told:
            self._to.log.emit(event, chats.about, place)
        start, end = _times(timing)
        own = _of_request(timing)
        trace.write(chats.head, span_id, parent, start, end, pairs=own, events=told, error=timing.error)

    def _chats_of(self, request: RequestTiming | OpenRequest) -> _Chats:
        subject = (request.model, request.provider, request.server)
        chats = self._chats.get(subject)
        if chats is None:
            head = self._trace.head(f"chat {request.model}".rstrip(), CLIENT, self._to.pairs(self._common(request)))
            of_model = pairs({"model": request.model}, self._to.longest.event)
            chats = self._chats[subject] = _Chats(head, (*self._about, *of_model))
        return chats

    def _tool(self, parent: bytes, timing: ToolTiming) -> None:
        trace, told = self._trace, events.tool_result(timing, self._to.longest.event)
        begun = self._tools.pop(timing.call_id, None)
        span_id = new_span_id() if begun is None else begun.span_id
        self._to.log.emit(told, self._about, trace.place(span_id))
        head = self._head_of_tool(timing.name or timing.origin, timing.origin)
        start, end = _times(timing)
        named, error = self._call_id(timing.call_id), None if timing.end == "ok" else timing.end
        trace.write(head, span_id, parent, start, end, pairs=named, events=(told,), error=error)

    def _decision(self, parent: bytes, timing: DecisionTiming) -> None:
        """Write the span of a decision, inside that of a tool call which has not ended and so has none yet."""
        attributes: Attributes = {
            "greenroom.question.kind": timing.kind,
            "greenroom.decision": timing.verdict,
            "greenroom.decided_by": timing.by,
        }
        trace, told = self._trace, events.tool_decision(timing, self._to.longest.event)
        start, end = _times(timing)
        if timing.call_id:
            begun = self._tools.get(timing.call_id)
            if begun is None:
                begun = self._tools[timing.call_id] = _OpenTool(new_span_id(), timing.tool or timing.kind, start)
            parent = begun.span_id
        span_id = new_span_id()
        self._to.log.emit(told, self._about, trace.place(span_id))
        own = self._to.pairs(attributes)
        trace.write(trace.head("greenroom.approval"), span_id, parent, start, end, pairs=own, events=(told,))

    def _end_agent(self, agent: Agent, now: int, error: str | None) -> None:
        """End the span of the turn in a worker, and those of parts whose end it has not told."""
        trace = self._trace
        for part in self._open_parts:
            self._end_open(part, agent.span_id, now, error)
        self._open_parts = ()
        for call_id, tool in self._tools.items():
            head, named, end = self._head_of_tool(tool.name), self._call_id(call_id), max(now, tool.start)
            trace.write(head, tool.span_id, agent.span_id, tool.start, end, pairs=named, error=error)
        self._tools.clear()
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": AGENT,
            "gen_ai.conversation.id": self.call.conversation_id,
            "greenroom.turn.id": self.call.turn_id,
        }
        head = trace.head(f"invoke_agent {AGENT}", INTERNAL, self._to.pairs(attributes))
        own = [_INCARNATION.integer(agent.incarnation)]
        if self._dropped:
            own.append(_DROPPED.integer(self._dropped))
            self._dropped = 0
        trace.write(head, agent.span_id, self.root.span_id, nanoseconds(agent.start), now, pairs=own, error=error)

    def _end_open(self, part: OpenPart, parent: bytes, now: int, error: str | None) -> None:
        """Write the span of a part that was under way when its worker died."""
        start = nanoseconds(part.started_at)
        named: Pairs = ()
        if isinstance(part, OpenRequest):
            head, span_id = self._chats_of(part).head, _span_id(part.span_id) or new_span_id()
        else:
            begun = self._tools.pop(part.call_id, None)
            span_id = new_span_id() if begun is None else begun.span_id
            head, named = self._head_of_tool(part.name or part.origin, part.origin), self._call_id(part.call_id)
        self._trace.write(head, span_id, parent, start, max(now, start), pairs=named, error=error)

    def _head_of_tool(self, name: str, origin: ToolOrigin | None = None) -> bytes:
        """Return what the spans of calls of a tool have in common; `origin` is `None` where it is not known."""
        head = self._heads.get((name, origin))
        if head is None:
            attributes: Attributes = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
            }
            if origin is not None:
                attributes["greenroom.tool.origin"] = origin
            head = self._trace.head(f"execute_tool {name}", INTERNAL, self._to.pairs(attributes))
            self._heads[name, origin] = head
        return head

    def _call_id(self, call_id: str) -> Pairs:
        return (_CALL_ID.text(call_id[: self._to.longest.span]),)

    def _common(self, timing: RequestTiming | OpenRequest) -> Attributes:
        """Return the attributes that all requests of a turn to one model have in common."""
        host, _, port = timing.server.rpartition(":")
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(timing.provider, timing.provider),
            "gen_ai.request.model": timing.model,
            "gen_ai.conversation.id": self.call.conversation_id,
            "server.address": host or timing.server,
        }
        if port.isdecimal() and host:
            attributes["server.port"] = int(port)
        return attributes


def _of_request(timing: RequestTiming) -> Pairs:
    """Return the attributes that a model request has for itself."""
    found = [_ATTEMPTS.integer(sum(timing.outcomes.values()))]
    if timing.first_token is not None:
        found.append(_FIRST_TOKEN.double(timing.first_token))
    if (usage := timing.usage) is not None:
        found += (
            _INPUT.integer(usage.input),
            _CACHED.integer(usage.cached_input),
            _OUTPUT.integer(usage.output),
            _REASONING.integer(usage.reasoning_output),
        )
    return found


def _times(timing: Timing) -> tuple[int, int]:
    """Return when it began and ended, in nanoseconds since the epoch."""
    return nanoseconds(timing.started_at), nanoseconds(timing.started_at + timing.seconds)


def _span_id(text: str) -> bytes | None:
    """Return the id of a span that a worker has chosen, `None` where it has not."""
    return bytes.fromhex(text) if _SPAN_ID.fullmatch(text) else None
