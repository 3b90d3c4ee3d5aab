"""Writes the spans of one trace, in the messages of OTLP."""

import random
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.supervisor.conversations.state.turn import CallKind, CallOrigin
from greenroom.supervisor.telemetry.events import PromptFacts, TelemetryEvent
from greenroom.supervisor.telemetry.otlp_binary import (
    Attribute,
    Attributes,
    Pairs,
    Scalar,
    place_part,
    span,
    span_attributes,
    span_event,
    span_part,
    trace_part,
)
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer

INTERNAL: Final = int(Span.SPAN_KIND_INTERNAL)
SERVER: Final = int(Span.SPAN_KIND_SERVER)
CLIENT: Final = int(Span.SPAN_KIND_CLIENT)
_LOCAL_PARENT: Final = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
_REMOTE_PARENT: Final = _LOCAL_PARENT | int(SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
_ERROR: Final = Attribute("error.type")
LONGEST: Final = 256
"""Characters of what a client has chosen, such as the id of a request."""


class TracedCall(NamedTuple):
    """A call that asks for a turn."""

    conversation_id: ConversationId
    turn_id: TurnId
    kind: CallKind
    origin: CallOrigin
    at: float
    """Seconds since the epoch."""
    prompt: PromptFacts | None
    """The input; `None` where there is none."""

    @property
    def name(self) -> str:
        """The name of its span."""
        return f"{self.origin.method} {self.origin.tool}".rstrip()

    @property
    def attributes(self) -> Attributes:
        """The attributes of its span."""
        attributes: Attributes = {
            "gen_ai.conversation.id": self.conversation_id,
            "greenroom.turn.id": self.turn_id,
            "greenroom.call.kind": self.kind,
        }
        if self.origin.request_id:
            attributes["jsonrpc.request.id"] = self.origin.request_id[:LONGEST]
        if self.origin.tool:
            attributes |= {
                "mcp.method.name": self.origin.method,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": self.origin.tool,
            }
        return attributes


class Root(NamedTuple):
    """The trace of a call, and the span of the call in it."""

    trace_id: bytes
    span_id: bytes
    flags: int
    """1 where the trace is recorded, otherwise 0."""
    state: str = ""
    """That of W3C Trace Context."""
    parent: bytes = b""
    """The id of the client's span, if there is one."""
    attributes: Mapping[str, Scalar] = MappingProxyType({})
    """What the sampler says of the span of the call."""


class Trace:
    """One trace. Nothing is written where it is not recorded."""

    def __init__(self, spans: RecordBuffer | None, root: Root, extra: Pairs = ()) -> None:
        """`extra` are attributes of every span."""
        self.root = root
        self._spans = spans if root.flags else None
        self._shared = trace_part(root.trace_id, root.state) + span_attributes(extra)

    def place(self, span_id: bytes) -> bytes:
        """Return the part of log records that belong to this span."""
        return place_part(self.root.trace_id, span_id, self.root.flags)

    def head(self, name: str, kind: int = INTERNAL, attributes: Pairs = (), *, is_remote: bool = False) -> bytes:
        """Return the part that spans of a name have in common; with `is_remote` their parent is in another program."""
        flags = _REMOTE_PARENT if is_remote else _LOCAL_PARENT
        return self._shared + span_part(name, kind, flags) + span_attributes(attributes)

    def write(
        self,
        head: bytes,
        span_id: bytes,
        parent: bytes,
        start: int,
        end: int,
        *,
        pairs: Pairs = (),
        events: Iterable[TelemetryEvent] = (),
        error: str | None = None,
    ) -> None:
        """Write a span that has ended, from `start` to `end` in nanoseconds since the epoch.

        `head` is that of `head`, `pairs` are further attributes.
        """
        if self._spans is None:
            return
        if error is not None:
            pairs = (*pairs, _ERROR.text(error))
        told = [span_event(*event) for event in events]
        parts = (head, span_attributes(pairs), *told)
        self._spans.add(span(span_id, parent, start, end, parts, failed=error is not None))


def root_of(sampler: Sampler, call: TracedCall) -> Root:
    """Begin the trace of a call, below the span of its client, if there is one.

    The sampler decides whether it is recorded, and may add attributes to the span of the call.
    """
    remote = call.origin.trace
    if remote is None and sampler is DEFAULT_ON:
        return Root(random.randbytes(16), new_span_id(), flags=1)  # as it would decide, in a tenth of the time
    parent, inherited = _parent(remote)
    trace_id = random.randbytes(16) if remote is None else bytes.fromhex(remote.trace_id)
    decided = sampler.should_sample(
        parent, int.from_bytes(trace_id, "big"), call.name, SpanKind.SERVER, call.attributes, (), inherited
    )
    added: Mapping[str, object] = decided.attributes or {}
    state = inherited if decided.trace_state is None else decided.trace_state
    return Root(
        trace_id,
        new_span_id(),
        int(decided.decision is Decision.RECORD_AND_SAMPLE),
        "" if state is None else state.to_header(),
        b"" if remote is None else bytes.fromhex(remote.span_id),
        {key: value for key, value in added.items() if isinstance(value, str | int | float)},
    )


def context_of(root: Root, span_id: bytes) -> TraceContext:
    """Return a span of a trace as other programs are told of it."""
    return TraceContext(root.trace_id.hex(), span_id.hex(), root.flags, root.state)


def new_span_id() -> bytes:
    """Return a random id. It need not be hard to guess."""
    return random.randbytes(8)


def _parent(remote: TraceContext | None) -> tuple[Context, TraceState | None]:
    if remote is None:
        return Context(), None
    state = TraceState.from_header([remote.state] if remote.state else [])
    parent = SpanContext(
        int(remote.trace_id, 16),
        int(remote.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(remote.flags & TraceFlags.SAMPLED),
        trace_state=state,
    )
    return set_span_in_context(NonRecordingSpan(parent), Context()), state
