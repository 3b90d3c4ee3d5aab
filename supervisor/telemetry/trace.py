"""Writes the spans of one trace, in the messages of OTLP."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context

from greenroom.protocol.trace_context import TraceContext
from greenroom.supervisor.conversations.turn import Moment
from greenroom.supervisor.telemetry.events import SpanPlace
from greenroom.supervisor.telemetry.otlp_binary import Attributes, span, span_attributes, span_event, trace_part
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer

_KINDS: Final = {
    SpanKind.INTERNAL: Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: Span.SPAN_KIND_SERVER,
    SpanKind.CLIENT: Span.SPAN_KIND_CLIENT,
}
_LOCAL_PARENT: Final = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
_REMOTE_PARENT: Final = _LOCAL_PARENT | int(SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)


@dataclass(slots=True)
class OpenSpan:
    """A span that has not ended."""

    place: SpanPlace
    name: str
    start: float
    """Seconds since the epoch."""
    attributes: Attributes
    parent: bytes = b""
    """The id of its parent; empty: it has none."""
    kind: SpanKind = SpanKind.INTERNAL
    is_remote: bool = False
    """Whether the parent is a span of another program."""
    events: list[bytes] = field(default_factory=list)


class Trace:
    """One trace. Nothing is written where it is not recorded."""

    def __init__(
        self, spans: RecordBuffer | None, root: SpanPlace, state: str, extra: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`state` is that of W3C Trace Context; `extra` are attributes of every span."""
        self.root, self.state = root, state
        self._spans = spans if root.flags else None
        self._shared = trace_part(root.trace_id, state) + self.shared({**extra})

    @property
    def is_recorded(self) -> bool:
        """Whether its spans are sent."""
        return self._spans is not None

    def place(self, span_id: bytes | None = None) -> SpanPlace:
        """Return the place of a span with this id, or with a random one."""
        return self.root._replace(span_id=span_id or new_span_id())

    def context(self, place: SpanPlace) -> TraceContext:
        """Return a span as other programs are told of it."""
        return TraceContext(place.trace_id.hex(), place.span_id.hex(), place.flags, self.state)

    def shared(self, attributes: Attributes) -> bytes:
        """Return attributes that several spans have in common, for `write`."""
        return b"" if self._spans is None else span_attributes(self._spans.pairs(attributes))

    def event(self, name: str, at: float, attributes: Attributes) -> bytes:
        """Return an event of a span, encoded, at a moment in seconds since the epoch."""
        return b"" if self._spans is None else span_event(name, at, self._spans.pairs(attributes))

    def end(self, span: OpenSpan, now: Moment, error: str | None = None) -> None:
        """End a span, with a kind of error where it has failed."""
        self.write(
            span.place,
            span.name,
            (span.start, now.at),
            span.attributes,
            parent=span.parent,
            kind=span.kind,
            events=span.events,
            error=error,
            flags=_REMOTE_PARENT if span.is_remote else _LOCAL_PARENT,
        )

    def write(
        self,
        place: SpanPlace,
        name: str,
        times: tuple[float, float],
        attributes: Attributes,
        *,
        parent: bytes,
        kind: SpanKind = SpanKind.INTERNAL,
        events: Iterable[bytes] = (),
        error: str | None = None,
        shared: bytes = b"",
        flags: int = _LOCAL_PARENT,
    ) -> None:
        """Write a span that has ended; `shared` are further fields, serialized."""
        if self._spans is None:
            return
        if error is not None:
            attributes = {**attributes, "error.type": error}
        own = span_attributes(self._spans.pairs(attributes))
        self._spans.add(
            span(
                place.span_id,
                parent,
                name,
                _KINDS[kind],
                times,
                flags=flags,
                failed=error is not None,
                parts=(self._shared, shared, own, *events),
            )
        )


def begin_trace(
    spans: RecordBuffer | None,
    sampler: Sampler,
    remote: TraceContext | None,
    extra: Mapping[str, str],
    call: OpenSpan,
) -> Trace:
    """Begin the trace of a call, and give the call its place there: below the span of its client, if there is one.

    The sampler decides whether it is recorded, and may add attributes to the span of the call.
    """
    parent, inherited = _parent(remote)
    trace_id = random.randbytes(16) if remote is None else bytes.fromhex(remote.trace_id)
    decided = sampler.should_sample(
        parent, int.from_bytes(trace_id, "big"), call.name, call.kind, call.attributes, (), inherited
    )
    is_recorded = decided.decision is Decision.RECORD_AND_SAMPLE
    added: Mapping[str, object] = decided.attributes or {}
    call.attributes.update((name, value) for name, value in added.items() if isinstance(value, str | int | float))
    call.place = SpanPlace(trace_id, new_span_id(), int(is_recorded))
    if remote is not None:
        call.parent, call.is_remote = bytes.fromhex(remote.span_id), True
    state = inherited if decided.trace_state is None else decided.trace_state
    return Trace(spans, call.place, "" if state is None else state.to_header(), extra)


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
