"""Records wait in messages of a limited size, and what there is no room for is counted."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.supervisor.telemetry.record_buffer import BufferLimits, RecordBuffer, SenderIdentity

IDENTITY = SenderIdentity(Resource({"service.name": "here"}), InstrumentationScope("scope", "1"))


def spans_of(message: Any) -> list[Any]:
    return list(message.resource_spans[0].scope_spans[0].spans)


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 20), st.integers(1, 20))
def test_what_is_taken_is_what_was_added_but_for_what_was_counted(added: list[int], most: int, batch: int) -> None:
    buffer = RecordBuffer(IDENTITY.around_spans, BufferLimits(most, batch))
    full: list[int] = []
    buffer.on_batch = lambda: full.append(buffer.waiting)
    names = map(str, itertools.count())
    for count in added:
        expected = [next(names) for _ in range(count)]
        for name in expected:
            buffer.add(Span(name=name).SerializeToString())
        assert buffer.waiting == min(count, most)
        batches, dropped = buffer.take()
        assert dropped == count - min(count, most)
        messages = [ExportTraceServiceRequest.FromString(batch.message) for batch in batches]
        assert [span.name for message in messages for span in spans_of(message)] == expected[:most]
        assert all(1 <= len(spans_of(message)) <= batch for message in messages)
        assert all(message.resource_spans[0].scope_spans[0].scope.name == "scope" for message in messages)
        assert (buffer.waiting, buffer.take()) == (0, ([], 0))
    assert len(full) == sum(min(count, most) // batch for count in added)
