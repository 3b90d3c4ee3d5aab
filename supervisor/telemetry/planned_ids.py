"""Ids of spans, some of which are told to others before there is a span."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


class PlannedIds(RandomIdGenerator):
    """Random ids, or the one that the next span is to have. Used on one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._next: int | None = None

    def plan(self) -> int:
        """Return an id for a span that will be made later."""
        return super().generate_span_id()

    @contextmanager
    def next_is(self, planned: int | None) -> Iterator[None]:
        """Give the id `planned`, unless it is `None`, to a span that is made within the block."""
        self._next = planned
        try:
            yield
        finally:
            self._next = None

    def generate_span_id(self) -> int:
        """Return the id of the next span."""
        planned, self._next = self._next, None
        return super().generate_span_id() if planned is None else planned
