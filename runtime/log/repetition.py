"""Limits how often the same is logged. Free of I/O and clocks.

A fault that repeats itself may be logged a thousand times a second, which fills disks and hides everything else. In
each period at most so many records with one key pass; how many did not is told with the first record of a later period,
or, once the period is over, before the next record of any kind.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

MOST_KEYS: Final = 512
"""Keys that are remembered; of more, those of the oldest periods are forgotten."""

K = TypeVar("K", bound=Hashable)


class _Period(msgspec.Struct):
    """The records of one key since a time."""

    begun: float
    passed: int = 0
    left_out: int = 0


class RepetitionLimit(Generic[K]):
    """Counts the records of each key."""

    def __init__(self, most: int, period_s: float) -> None:
        """At most `most` records of one key pass in `period_s` seconds."""
        self._most = most
        self._period_s = period_s
        self._periods: OrderedDict[K, _Period] = OrderedDict()
        """By key, the one that began first at the beginning."""

    def admit(self, key: K, now: float) -> int | None:
        """Count a record. Return how many were left out before it, or `None` where it is left out itself."""
        period = self._periods.get(key)
        left_out = 0
        if period is None or now - period.begun >= self._period_s:
            left_out = 0 if period is None else period.left_out
            period = self._periods[key] = _Period(now)
            self._periods.move_to_end(key)
            if len(self._periods) > MOST_KEYS:
                self._periods.popitem(last=False)
        if period.passed >= self._most:
            period.left_out += 1
            return None
        period.passed += 1
        return left_out

    def ended(self, now: float) -> Iterator[tuple[K, int]]:
        """Yield the keys whose period is over, with how many of their records were left out, and forget them."""
        while self._periods:
            key, period = next(iter(self._periods.items()))
            if now - period.begun < self._period_s:
                return
            del self._periods[key]
            if period.left_out:
                yield key, period.left_out
