"""What clients say of their traces is taken where it is valid, and ignored where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.telemetry.trace_context import (
    LONGEST_STATE,
    TraceContext,
    decode_trace_context,
    read_trace_context,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (VALID, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-ff", 255),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", 1),
    ],
)
def test_a_valid_parent_is_taken(parent: str, flags: int) -> None:
    assert read_trace_context(parent) == TraceContext(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "parent",
    [
        None,
        7,
        "",
        VALID.upper(),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"{VALID}-more",
        f"{VALID}\n",
        f" {VALID}",
        VALID[:-1],
        f"00-{TRACE}-{SPAN}-0g",
    ],
)
def test_any_other_is_ignored(parent: object) -> None:
    assert read_trace_context(parent) is None


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_a_state_never_costs_the_parent(state: object) -> None:
    found = read_trace_context(VALID, state)
    assert found is not None
    assert found.parent == VALID
    assert found.state in (state, "")
    assert len(found.state) <= LONGEST_STATE
    assert found.state.isprintable()


@given(st.text(st.sampled_from("0123456789abcdef"), min_size=32, max_size=32), st.integers(0, 255))
def test_what_is_told_is_read_again(trace: str, flags: int) -> None:
    told = TraceContext(trace, SPAN, flags & 1)
    read = read_trace_context(told.parent)
    assert read == (told if set(trace) != {"0"} else None)


@pytest.mark.parametrize(
    ("carrier", "found"),
    [
        (f'{{"traceparent":"{VALID}","tracestate":"v=1","more":7}}', TraceContext(TRACE, SPAN, 1, "v=1")),
        (f'{{"traceparent":"{VALID}","tracestate":null}}', TraceContext(TRACE, SPAN, 1)),
        ('{"tracestate":"v=1"}', None),
        (f'"{VALID}"', None),
        ("[]", None),
        ("{", None),
        ("[" * 5000, None),
        (None, None),
    ],
)
def test_an_object_may_name_a_span(carrier: str | None, found: TraceContext | None) -> None:
    assert decode_trace_context(None if carrier is None else carrier.encode()) == found
