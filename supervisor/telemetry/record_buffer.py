"""Spans and events that wait to be sent, encoded as they are in the messages of OTLP.

A record is written once and never copied as an object.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from greenroom.supervisor.telemetry import otlp_binary


class BufferLimits(NamedTuple):
    """How many records a buffer holds."""

    records: int = 2048
    """Further ones are dropped until some are taken."""
    batch: int = 512
    """Records of one message."""


class SenderIdentity:
    """Who sends: a resource and a scope, encoded as they are around spans and around log records."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        nothing = ReadableSpan(
            "", SpanContext(1, 1, is_remote=False), resource=resource, instrumentation_scope=scope, start_time=0
        )
        (spans,) = encode_spans([nothing]).resource_spans
        (scoped,) = spans.scope_spans
        of, url, named, named_url = spans.resource, spans.schema_url, scoped.scope, scoped.schema_url
        self.around_spans: Final = Frame(
            ResourceSpans(resource=of, schema_url=url).SerializeToString(),
            ScopeSpans(scope=named, schema_url=named_url).SerializeToString(),
        )
        self.around_logs: Final = Frame(
            ResourceLogs(resource=of, schema_url=url).SerializeToString(),
            ScopeLogs(scope=named, schema_url=named_url).SerializeToString(),
        )


class Frame(NamedTuple):
    """What is around the records of a message."""

    resource: bytes
    scope: bytes


class Batch(NamedTuple):
    """A message of records."""

    message: bytes
    """Encoded."""
    records: int


class TakenRecords(NamedTuple):
    """What a buffer has held."""

    batches: Sequence[Batch]
    dropped: int
    """Records for which there was no room."""


class RecordBuffer:
    """The records of one kind. Used on one thread; what was taken may go to another."""

    def __init__(self, frame: Frame, limits: BufferLimits) -> None:
        self._frame, self.limits = frame, limits
        self._records: list[bytes] = []
        self._dropped = 0
        """Records since the last `take`."""
        self.on_batch: Callable[[], None] | None = None
        """Called when there is enough for a message, unless `None`."""
        self.before_take: Callable[[], None] | None = None
        """Called by `take`, to add what has not been written yet, unless `None`."""

    @property
    def waiting(self) -> int:
        """Records that have not been taken."""
        return len(self._records)

    def add(self, record: bytes) -> None:
        """Add a record, which is encoded."""
        if len(self._records) >= self.limits.records:
            self._dropped += 1
            return
        self._records.append(record)
        if self.on_batch is not None and not len(self._records) % self.limits.batch:
            self.on_batch()

    def take(self) -> TakenRecords:
        """Return the messages that wait, which are then no longer here, and how many records were dropped."""
        if self.before_take is not None:
            self.before_take()
        taken, self._records = self._records, []
        dropped, self._dropped = self._dropped, 0
        size = self.limits.batch
        parts = [taken[at : at + size] for at in range(0, len(taken), size)]
        return TakenRecords([Batch(otlp_binary.request(*self._frame, part), len(part)) for part in parts], dropped)
