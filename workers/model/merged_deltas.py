"""Joins pieces of text that wait together, free of I/O. A client that reads one after the other sees no difference."""

from itertools import groupby
from typing import Final

from greenroom.workers.model.responses import ModelEvent, ReasoningDelta, ReasoningSummaryDelta, TextDelta

_DELTAS: Final = (TextDelta, ReasoningSummaryDelta, ReasoningDelta)


def merge_deltas(batch: list[ModelEvent]) -> list[ModelEvent]:
    """Return a batch in which deltas of one kind that follow one another are one. Order and texts stay."""
    if len(batch) < 2:
        return batch
    events: list[ModelEvent] = []
    for kind, group in groupby(batch, type):
        if kind in _DELTAS:
            events.append(_joined(list(group)))
        else:
            events.extend(group)
    return events


def _joined(deltas: list[ModelEvent]) -> ModelEvent:
    first = deltas[0]
    assert isinstance(first, _DELTAS)
    if len(deltas) == 1:
        return first
    # Each is a JSON string by itself, with whole characters, so that nothing new begins where two of them meet.
    texts = [delta.raw[1:-1] for delta in deltas if isinstance(delta, _DELTAS)]
    return type(first)(b'"%b"' % b"".join(texts))
