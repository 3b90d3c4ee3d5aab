"""What is encoded is what objects of protobuf encode."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from greenroom.supervisor.telemetry import otlp_binary
from greenroom.supervisor.telemetry.events import iso_timestamp
from greenroom.supervisor.telemetry.otlp_binary import nanoseconds

FIELDS: dict[type, str] = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.just("long " * 40)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 127, 128, 16383, 16384, -1])
VALUES = TEXTS | INTEGERS | st.floats(allow_nan=False) | st.booleans()
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=6)
TRACE_IDS, SPAN_IDS = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)
MOMENTS, FLAGS = st.floats(0.0, 2e9), st.integers(0, 2**32 - 1)
TIMES = st.tuples(MOMENTS, MOMENTS)


def as_objects(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(**{FIELDS[type(value)]: value})) for name, value in attributes.items()]


@given(
    ATTRIBUTES,
    ATTRIBUTES,
    ATTRIBUTES,
    TRACE_IDS,
    SPAN_IDS | st.just(b""),
    TEXTS,
    st.tuples(MOMENTS, MOMENTS),
    FLAGS,
    st.data(),
)
def test_a_span_is_that_of_protobuf(
    own: dict[str, Any],
    shared: dict[str, Any],
    of_event: dict[str, Any],
    trace_id: bytes,
    parent: bytes,
    name: str,
    times: tuple[float, float],
    flags: int,
    data: st.DataObject,
) -> None:
    failed, state, kind = data.draw(st.booleans()), data.draw(TEXTS), data.draw(st.sampled_from(Span.SpanKind.values()))
    start, end = map(nanoseconds, times)
    encoded = otlp_binary.span(
        b"the span",
        parent,
        start,
        end,
        failed=failed,
        parts=(
            otlp_binary.trace_part(trace_id, state),
            otlp_binary.span_part(name, kind, flags),
            otlp_binary.span_attributes(otlp_binary.pairs(shared)),
            otlp_binary.span_attributes(otlp_binary.pairs(own)),
            otlp_binary.span_event(name, start, otlp_binary.pairs(of_event)),
        ),
    )
    assert Span.FromString(encoded) == Span(
        trace_id=trace_id,
        span_id=b"the span",
        trace_state=state,
        parent_span_id=parent,
        name=name,
        kind=kind,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=as_objects(shared) + as_objects(own),
        events=[Span.Event(name=name, time_unix_nano=start, attributes=as_objects(of_event))],
        status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
        flags=flags,
    )


@given(ATTRIBUTES, ATTRIBUTES, TEXTS, TRACE_IDS | st.just(b""), MOMENTS, st.integers(0, 2**64 - 1), st.integers(0, 1))
def test_a_log_record_is_that_of_protobuf(
    own: dict[str, Any], shared: dict[str, Any], name: str, trace_id: bytes, at: float, observed: int, flags: int
) -> None:
    part = otlp_binary.log_part(name, 9, otlp_binary.pairs(shared))
    span_id = b"the span" if trace_id else b""
    place = otlp_binary.place_part(trace_id, span_id, flags) if trace_id else b""
    encoded = otlp_binary.log_record(part, place, nanoseconds(at), observed, otlp_binary.pairs(own))
    assert LogRecord.FromString(encoded) == LogRecord(
        time_unix_nano=nanoseconds(at),
        observed_time_unix_nano=observed,
        severity_number=9,  # type: ignore[arg-type]
        event_name=name,
        attributes=as_objects(shared) + as_objects(own),
        trace_id=trace_id,
        span_id=span_id,
        flags=flags if trace_id else 0,
    )


@given(st.lists(st.text("ab", max_size=200), max_size=5))
def test_a_request_has_its_records_in_their_scope_and_resource(names: list[str]) -> None:
    resource, scope = Resource(attributes=as_objects({"service.name": "here"})), InstrumentationScope(name="scope")
    spans = [Span(name=name) for name in names]
    encoded = otlp_binary.request(
        ResourceSpans(resource=resource, schema_url="r").SerializeToString(),
        ScopeSpans(scope=scope, schema_url="s").SerializeToString(),
        [span.SerializeToString() for span in spans],
    )
    scoped = ScopeSpans(scope=scope, schema_url="s", spans=spans)
    traced = ResourceSpans(resource=resource, schema_url="r", scope_spans=[scoped])
    assert ExportTraceServiceRequest.FromString(encoded) == ExportTraceServiceRequest(resource_spans=[traced])
    records = [LogRecord(event_name=name) for name in names]
    encoded = otlp_binary.request(
        ResourceLogs(resource=resource).SerializeToString(),
        ScopeLogs(scope=scope).SerializeToString(),
        [record.SerializeToString() for record in records],
    )
    logged = ResourceLogs(resource=resource, scope_logs=[ScopeLogs(scope=scope, log_records=records)])
    assert ExportLogsServiceRequest.FromString(encoded) == ExportLogsServiceRequest(resource_logs=[logged])


@given(st.dictionaries(st.text("ab"), st.integers()))
def test_an_integer_that_no_message_can_hold_is_left_out(attributes: dict[str, int]) -> None:
    held = {name: value for name, value in attributes.items() if -(2**63) <= value < 2**63}
    assert otlp_binary.pairs({**attributes, "more": 2**63, "less": -(2**63) - 1}) == otlp_binary.pairs({**held})


@given(TEXTS.filter(bool), INTEGERS, st.floats(allow_nan=False), TEXTS)
def test_an_attribute_with_another_value_each_time_is_that_of_protobuf(
    name: str, integer: int, double: float, text: str
) -> None:
    attribute = otlp_binary.Attribute(name)
    for value, encoded in (
        (integer, attribute.integer(integer)),
        (double, attribute.double(double)),
        (text, attribute.text(text)),
    ):
        (pair,) = as_objects({name: value})
        assert encoded == otlp_binary.sized(pair.SerializeToString())


def test_an_integer_that_is_too_large_becomes_the_nearest() -> None:
    attribute = otlp_binary.Attribute("a")
    assert attribute.integer(2**64) == attribute.integer(2**63 - 1)
    assert attribute.integer(-(2**64)) == attribute.integer(-(2**63))


def test_what_is_equal_but_of_another_type_is_told_apart() -> None:
    same: list[Any] = [1, True, 1.0]
    objects = [as_objects({"a": value}) for value in same]
    encoded = [otlp_binary.pairs({"a": value}) for value in same]
    assert encoded == [[otlp_binary.sized(pair.SerializeToString())] for (pair,) in objects]


def test_texts_are_cut_off_at_their_limit_and_others_cannot_be_encoded() -> None:
    assert otlp_binary.pairs({"a": "12345", "b": 12345}, 4) == otlp_binary.pairs({"a": "1234", "b": 12345})
    with pytest.raises(ValueError, match="surrogates"):
        otlp_binary.pairs({"a": "\ud800"})


@given(st.floats(allow_nan=False))
def test_every_moment_can_be_written(at: float) -> None:
    assert 0 <= nanoseconds(at) < 2**64
    assert iso_timestamp(nanoseconds(at))


def test_moments_are_written_as_iso_8601() -> None:
    assert iso_timestamp(1700000000_004900000) == "2023-11-14T22:13:20.005+00:00"
    assert iso_timestamp(1700000000_999900000) == "2023-11-14T22:13:21.000+00:00"
