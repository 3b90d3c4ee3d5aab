"""Traces as a collector has got them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.collector import attributes

INDENT = "  "


def outline(spans: Sequence[Any], client: str = "") -> list[str]:
    """Return the names of the spans of one trace as an outline, with the kinds of their errors.

    Checks that it is of one piece: one span has its parent elsewhere, which is `client`, and each of the others begins
    and ends within its own parent.
    """
    assert len({span.trace_id for span in spans}) == 1, "they belong to one trace"
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "no id is used twice"
    below = defaultdict(list)
    for span in sorted(spans, key=lambda one: (one.start_time_unix_nano, -one.end_time_unix_nano)):
        below[span.parent_span_id if span.parent_span_id in by_id else b""].append(span)
        outer = by_id.get(span.parent_span_id, span)
        assert outer.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano, span.name
        assert span.end_time_unix_nano <= outer.end_time_unix_nano, span.name
    (root,) = below[b""]
    assert root.parent_span_id.hex() == client

    def lines(span: Any, depth: int) -> Iterator[str]:
        error = attributes(span.attributes).get("error.type")
        assert (span.status.code == span.status.STATUS_CODE_ERROR) == (error is not None)
        yield INDENT * depth + span.name + (f" !{error}" if error else "")
        for inner in below[span.span_id]:
            yield from lines(inner, depth + 1)

    return list(lines(root, 0))
