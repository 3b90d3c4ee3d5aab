"""Spans and events that wait to be sent, kept in the messages of OTLP in which they are sent.

A record is written into its message once and never copied. Its fields have the names that the messages have; fields
that many records share are given as bytes instead, to which a message of the same type was serialized.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

Attributes: TypeAlias = dict[str, str | int | float | bool]
Pairs: TypeAlias = list[Any]
"""Attributes as the messages have them: fields of `KeyValue`, which messages take in its place."""
Request = TypeVar("Request", bound=Message)

_FIELDS: Final = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
_BEYOND: Final = 2**63
"""The least integer that is too large."""
LATEST: Final = 18e9
"""Seconds since the epoch; nanoseconds of later moments do not fit their field."""


class BufferLimits(NamedTuple):
    """How many records a buffer holds."""

    records: int = 2048
    """Further ones are dropped until some are taken."""
    batch: int = 512
    """Records of one message."""


class RecordBuffer(Generic[Request]):
    """The records of one kind. Used on one thread; what was taken may go to another."""

    def __init__(
        self, empty: Request, records: Callable[[Request], Any], limits: BufferLimits, longest: int | None = None
    ) -> None:
        """`records` returns the list of records in a message, such as `empty`, which has none.

        `longest` is how many characters a text may have; the rest is cut off.
        """
        self._empty, self._records_of, self._limits, self._longest = empty, records, limits, longest
        self._batches: list[Request] = []
        self._last = records(empty)
        self._room = 0
        """How many more records the last batch takes."""
        self.waiting = 0
        """Records that have not been taken."""
        self.dropped = 0
        """Records that were dropped since the last `take`."""
        self.on_batch: Callable[[], None] | None = None
        """Called when there is enough for a message, unless `None`."""

    def add(self, *shared: bytes, **fields: Any) -> None:
        """Add a record. Raises `ValueError` for a value that its field cannot have; nothing is added then."""
        if self.waiting >= self._limits.records:
            self.dropped += 1
            return
        if not self._room:
            self._begin()
        record = self._last.add(**fields)
        for part in shared:
            record.MergeFromString(part)
        self.waiting += 1
        self._room -= 1
        if not self._room and self.on_batch is not None:
            self.on_batch()

    def take(self) -> list[Request]:
        """Return the messages that wait, which are then no longer here."""
        taken, self._batches = self._batches, []
        self._room = self.waiting = self.dropped = 0
        return [batch for batch in taken if len(self._records_of(batch))]

    def pairs(self, attributes: Mapping[str, str | int | float | bool]) -> Pairs:
        """Return attributes as the messages have them."""
        if self._longest is not None:
            attributes = {
                name: value[: self._longest] if isinstance(value, str) else value for name, value in attributes.items()
            }
        return pairs(attributes)

    def _begin(self) -> None:
        batch = type(self._empty)()
        batch.CopyFrom(self._empty)
        self._batches.append(batch)
        self._last, self._room = self._records_of(batch), self._limits.batch


class Identity:
    """Who sends: a resource and a scope, in the messages of OTLP."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        nothing = ReadableSpan(
            "", SpanContext(1, 1, is_remote=False), resource=resource, instrumentation_scope=scope, start_time=0
        )
        self.trace_request: ExportTraceServiceRequest = encode_spans([nothing])
        """One without spans."""
        (sent,) = self.trace_request.resource_spans
        del sent.scope_spans[0].spans[:]
        logs = ScopeLogs(scope=sent.scope_spans[0].scope, schema_url=sent.scope_spans[0].schema_url)
        self.logs_request = ExportLogsServiceRequest(
            resource_logs=[ResourceLogs(resource=sent.resource, schema_url=sent.schema_url, scope_logs=[logs])]
        )
        """One without log records."""


def span_buffer(
    identity: Identity, limits: BufferLimits, longest: int | None = None
) -> RecordBuffer[ExportTraceServiceRequest]:
    """Return a buffer of `opentelemetry.proto.trace.v1.Span`."""
    return RecordBuffer(identity.trace_request, lambda one: one.resource_spans[0].scope_spans[0].spans, limits, longest)


def log_buffer(
    identity: Identity, limits: BufferLimits, longest: int | None = None
) -> RecordBuffer[ExportLogsServiceRequest]:
    """Return a buffer of `opentelemetry.proto.logs.v1.LogRecord`."""
    return RecordBuffer(
        identity.logs_request, lambda one: one.resource_logs[0].scope_logs[0].log_records, limits, longest
    )


def pairs(attributes: Mapping[str, str | int | float | bool]) -> Pairs:
    """Return attributes as the messages have them; one that they cannot hold is left out."""
    return [
        {"key": name, "value": {_FIELDS[type(value)]: value}}
        for name, value in attributes.items()
        if type(value) is not int or -_BEYOND <= value < _BEYOND
    ]


def nanoseconds(at: float) -> int:
    """Return a moment in seconds since the epoch as the messages have it, 0 for one that they cannot hold."""
    return round(at * 1e9) if 0.0 <= at <= LATEST else 0
