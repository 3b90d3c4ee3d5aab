"""Records wait in messages of a limited size, and what there is no room for is counted."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.supervisor.telemetry.events import timestamp
from greenroom.supervisor.telemetry.record_buffer import BufferLimits, Identity, nanoseconds, pairs, span_buffer
from tests.support.collector import attributes

IDENTITY = Identity(Resource({"service.name": "here"}), InstrumentationScope("scope", "1"))


def spans_of(message: Any) -> list[Any]:
    return list(message.resource_spans[0].scope_spans[0].spans)


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 20), st.integers(1, 20))
def test_what_is_taken_is_what_was_added_but_for_what_was_counted(added: list[int], most: int, batch: int) -> None:
    buffer = span_buffer(IDENTITY, BufferLimits(most, batch))
    full: list[int] = []
    buffer.on_batch = lambda: full.append(buffer.waiting)
    names = map(str, itertools.count())
    for count in added:
        expected = [next(names) for _ in range(count)]
        for name in expected:
            buffer.add(name=name)
        assert buffer.waiting == min(count, most)
        assert buffer.dropped == count - buffer.waiting
        messages = buffer.take()
        assert [span.name for message in messages for span in spans_of(message)] == expected[:most]
        assert all(1 <= len(spans_of(message)) <= batch for message in messages)
        assert all(message.resource_spans[0].scope_spans[0].scope.name == "scope" for message in messages)
        assert (buffer.waiting, buffer.dropped, buffer.take()) == (0, 0, [])
    assert len(full) == sum(min(count, most) // batch for count in added)


def test_a_record_that_cannot_be_written_leaves_nothing_behind() -> None:
    buffer = span_buffer(IDENTITY, BufferLimits())
    with pytest.raises(ValueError, match="range"):
        buffer.add(start_time_unix_nano=-1)
    with pytest.raises(ValueError, match="surrogates"):
        buffer.add(name="\ud800")
    assert (buffer.waiting, buffer.take()) == (0, [])
    shared = Span(trace_state="s", attributes=pairs({"a": 1})).SerializeToString()
    buffer.add(shared, name="n", attributes=pairs({"b": True}))
    (message,) = buffer.take()
    (span,) = spans_of(message)
    assert (span.name, span.trace_state, attributes(span.attributes)) == ("n", "s", {"a": 1, "b": True})


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()))
def test_every_attribute_that_a_message_can_hold_is_written(given_attributes: dict[str, Any]) -> None:
    held = {
        name: value for name, value in given_attributes.items() if type(value) is not int or -(2**63) <= value < 2**63
    }
    assert attributes(Span(attributes=pairs(given_attributes)).attributes) == held


@given(st.floats(allow_nan=False))
def test_every_moment_can_be_written(at: float) -> None:
    assert 0 <= nanoseconds(at) < 2**64
    assert timestamp(at)


def test_moments_are_written_as_iso_8601() -> None:
    assert timestamp(1700000000.0049) == "2023-11-14T22:13:20.005+00:00"
    assert timestamp(1700000000.9999) == "2023-11-14T22:13:21.000+00:00"
