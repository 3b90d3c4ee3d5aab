"""Timings of any content travel as they are, and as many as a message may have fit into one."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import Heartbeat, TurnEnded, TurnProgress
from greenroom.protocol.message import MAX_HEADER, pack, unpack
from greenroom.protocol.telemetry.timings import (
    BUILTIN_TOOLS,
    LONGEST_NAME,
    MOST,
    MOST_ATTEMPTS,
    MOST_OPEN,
    AttemptTiming,
    DecisionTiming,
    OpenRequest,
    RequestTiming,
    Timing,
    TokenUse,
    ToolTiming,
)
from greenroom.workers.tools.registry import HANDLERS

ADDRESS: Final[dict[str, Any]] = {
    "conversation_id": ConversationId("c"),
    "incarnation": Incarnation(1),
    "turn_id": TurnId("t"),
}
WIDE = "\U0001f512" * LONGEST_NAME
"""The longest name, of the characters that take the most bytes."""
LARGEST = RequestTiming(
    started_at=1e9 + 0.1,
    seconds=1e9 + 0.1,
    model=WIDE,
    provider=WIDE,
    server="x" * LONGEST_NAME,
    attempts=(AttemptTiming(started_at=1e9 + 0.1, seconds=0.1, outcome="unreachable"),) * MOST_ATTEMPTS,
    outcomes={f"{status}": 10**6 for status in range(400, 412)},
    first_token=0.1,
    error="session_unreadable",
    usage=TokenUse(input=10**9, cached_input=10**9, output=10**9, reasoning_output=10**9),
    span_id="f" * 16,
)


def test_the_largest_timings_fit_into_one_message() -> None:
    ended = TurnEnded(**ADDRESS, outcome="failed", message="m" * 1000, timings=(LARGEST,) * MOST)
    assert len(pack(ended)) < MAX_HEADER
    assert unpack(TurnEnded, pack(ended)) == ended
    under_way = OpenRequest(started_at=1e9 + 0.1, model=WIDE, provider=WIDE, server=LARGEST.server, span_id="f" * 16)
    beat = Heartbeat(
        **ADDRESS,
        progress=TurnProgress(step="s" * 200),
        tokens=10**9,
        timings=(LARGEST,) * MOST,
        open_parts=(under_way,) * MOST_OPEN,
    )
    assert len(pack(beat)) < MAX_HEADER
    assert unpack(Heartbeat, pack(beat)) == beat


texts = st.text(max_size=LONGEST_NAME)
seconds = st.floats(allow_nan=False, allow_infinity=False)
timings: st.SearchStrategy[Timing] = st.one_of(
    st.builds(
        RequestTiming,
        started_at=seconds,
        seconds=seconds,
        model=texts,
        provider=texts,
        server=texts,
        outcomes=st.dictionaries(texts, st.integers(0, 2**31), max_size=3),
        first_token=st.none() | seconds,
        error=st.none() | texts,
        usage=st.none(),
        attempts=st.just(()),
        span_id=texts,
    ),
    st.builds(
        ToolTiming,
        started_at=seconds,
        seconds=seconds,
        name=texts,
        call_id=texts,
        origin=st.sampled_from(("builtin", "mcp", "unknown")),
        end=st.sampled_from(("ok", "failed", "cancelled")),
        arguments_size=st.integers(0, 2**31),
        output_size=st.integers(0, 2**31),
    ),
    st.builds(
        DecisionTiming,
        started_at=seconds,
        seconds=seconds,
        kind=st.sampled_from(("command", "patch", "mcp_tool", "mcp_form", "mcp_url")),
        call_id=texts,
        tool=texts,
        by=st.sampled_from(("user", "reviewer")),
        verdict=texts,
    ),
)


@given(st.lists(timings, max_size=4))
def test_timings_arrive_as_they_were_sent(sent: list[Timing]) -> None:
    beat = Heartbeat(**ADDRESS, progress=TurnProgress(), tokens=0, timings=tuple(sent))
    assert unpack(Heartbeat, pack(beat)) == beat


def test_the_names_of_tools_are_those_that_there_are() -> None:
    assert HANDLERS.keys() == BUILTIN_TOOLS
