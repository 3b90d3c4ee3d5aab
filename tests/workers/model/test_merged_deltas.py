"""Pieces of text that wait together become one, and nothing else changes."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.merged_deltas import merge_deltas
from greenroom.workers.model.responses import (
    ItemDone,
    ModelEvent,
    ReasoningDelta,
    ReasoningSummaryDelta,
    SectionBreak,
    TextDelta,
)

DELTAS = (TextDelta, ReasoningSummaryDelta, ReasoningDelta)
raws = st.one_of(
    st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False).encode()),
    st.text(max_size=8).map(lambda text: json.dumps(text).encode()),  # with escapes, and surrogate pairs as such
)
events = st.one_of(
    st.builds(lambda kind, raw: kind(raw), st.sampled_from(DELTAS), raws),
    st.just(SectionBreak()),
    st.just(ItemDone({"type": "message"})),
)


def told(batch: list[ModelEvent]) -> list[tuple[object, str]]:
    """Return what a reader of the batch sees: texts by kind, with nothing between two that follow one another."""
    seen: list[tuple[object, str]] = []
    for event in batch:
        text = json.loads(event.raw) if isinstance(event, DELTAS) else ""
        if seen and seen[-1][0] is type(event) and isinstance(event, DELTAS):
            seen[-1] = (type(event), seen[-1][1] + text)
        else:
            seen.append((type(event), text))
    return seen


@given(st.lists(events, max_size=20))
def test_a_reader_sees_the_same(batch: list[ModelEvent]) -> None:
    assert told(merge_deltas(batch)) == told(batch)


@given(st.lists(events, max_size=20))
def test_no_two_deltas_of_a_kind_follow_one_another(batch: list[ModelEvent]) -> None:
    kinds = [type(event) for event in merge_deltas(batch)]
    assert all(one is not other or one not in DELTAS for one, other in itertools.pairwise(kinds))


@given(st.lists(events, max_size=20), st.lists(st.integers(0, 20), max_size=6))
def test_however_a_stream_is_cut_into_batches_the_text_is_the_same(batch: list[ModelEvent], cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(batch)) for cut in cuts), len(batch)]
    pieces = [merge_deltas(batch[start:end]) for start, end in itertools.pairwise(borders)]
    assert told([event for piece in pieces for event in piece]) == told(batch)
