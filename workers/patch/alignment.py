"""Finds the differences between two sequences of lines, in bounded time.

Lines that occur once on each side anchor the comparison. A gap between anchors gets a shortest edit (E. W. Myers, "An
O(ND) Difference Algorithm and Its Variations", 1986); if that costs too much, the whole gap counts as different, which
is correct but longer than necessary.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

_EDITS: Final = 512
"""The longest edit that is searched in one gap; memory grows with its square."""
_STEPS: Final = 2_000_000
"""Maximum comparisons for all gaps of one alignment, about a second."""

_Pair: TypeAlias = tuple[int, int]
_Reach: TypeAlias = dict[int, int]
"""For each diagonal (old index minus new index), how far into the old lines it has come."""


class Span(NamedTuple):
    """Lines `old_start:old_end` became `new_start:new_end`. One of the two may be empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def spans(old: Sequence[str], new: Sequence[str]) -> list[Span]:
    """Return the differences, from top to bottom. Between two spans there is at least one common line."""
    found: list[Span] = []
    i = j = 0
    for next_i, next_j in (*_Alignment(old, new).pairs(), (len(old), len(new))):
        if next_i > i or next_j > j:
            found.append(Span(i, next_i, j, next_j))
        i, j = next_i + 1, next_j + 1
    return found


_Align: TypeAlias = Callable[[Span], Iterator[_Pair]]


class _Alignment:
    """One comparison, and its remaining budget."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        self._old = old
        self._new = new
        self._steps = _STEPS

    def pairs(self) -> Iterator[_Pair]:
        """Yield the indices of matched lines, both ascending."""
        return self._within(Span(0, len(self._old), 0, len(self._new)), self._anchored)

    def _within(self, gap: Span, align: _Align) -> Iterator[_Pair]:
        """Match equal lines at the two ends of a gap, and what `align` matches between them."""
        i, i_end, j, j_end = gap
        while i < i_end and j < j_end and self._old[i] == self._new[j]:
            yield i, j
            i, j = i + 1, j + 1
        tail = 0
        while i < i_end and j < j_end and self._old[i_end - 1] == self._new[j_end - 1]:
            i_end, j_end, tail = i_end - 1, j_end - 1, tail + 1
        if i < i_end and j < j_end:
            yield from align(Span(i, i_end, j, j_end))
        yield from ((i_end + step, j_end + step) for step in range(tail))

    def _anchored(self, gap: Span) -> Iterator[_Pair]:
        i, j = gap.old_start, gap.new_start
        old, new = self._old[i : gap.old_end], self._new[j : gap.new_end]
        for anchor_i, anchor_j in ((gap.old_start + a, gap.new_start + b) for a, b in _anchors(old, new)):
            yield from self._within(Span(i, anchor_i, j, anchor_j), self._shortest)
            yield anchor_i, anchor_j
            i, j = anchor_i + 1, anchor_j + 1
        yield from self._within(Span(i, gap.old_end, j, gap.new_end), self._shortest)

    def _shortest(self, gap: Span) -> Iterator[_Pair]:
        """Match the lines that a shortest edit keeps; nothing if finding it costs too much."""
        old, new = self._old[gap.old_start : gap.old_end], self._new[gap.new_start : gap.new_end]
        goal = len(old) - len(new)
        reach: _Reach = {1: 0}
        history: list[_Reach] = []
        for edits in range(_EDITS + 1 if abs(goal) <= _EDITS else 0):
            history.append(reach)
            reach = {
                diagonal: self._run(old, new, _entry(reach, diagonal, edits), diagonal)
                for diagonal in range(-edits, edits + 1, 2)
            }
            if reach.get(goal, -1) >= len(old):
                kept = _backtracked(history, len(old), len(new))
                yield from ((gap.old_start + a, gap.new_start + b) for a, b in kept)
                return
            if self._steps < 0:
                return

    def _run(self, old: Sequence[str], new: Sequence[str], i: int, diagonal: int) -> int:
        start, end = i, min(len(old), len(new) + diagonal)
        while i < end and old[i] == new[i - diagonal]:
            i += 1
        self._steps -= 1 + i - start
        return i


def _neighbour(reach: _Reach, diagonal: int, edits: int) -> int:
    """The diagonal from which one is best entered: from above by an added line, from below by a removed line."""
    adds = diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1])
    return diagonal + 1 if adds else diagonal - 1


def _entry(reach: _Reach, diagonal: int, edits: int) -> int:
    neighbour = _neighbour(reach, diagonal, edits)
    return reach[neighbour] + (neighbour < diagonal)


def _backtracked(history: list[_Reach], i: int, j: int) -> list[_Pair]:
    kept: list[_Pair] = []
    for edits in range(len(history) - 1, -1, -1):
        reach = history[edits]
        neighbour = _neighbour(reach, i - j, edits)
        entry = reach[neighbour] + (neighbour < i - j)
        kept += ((a, a - (i - j)) for a in range(i - 1, entry - 1, -1))
        i, j = reach[neighbour], reach[neighbour] - neighbour
    return kept[::-1]


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[_Pair]:
    in_old, in_new = Counter(old), Counter(new)
    places = {line: place for place, line in enumerate(old) if in_old[line] == 1 == in_new[line]}
    return _longest_rising([(places[line], j) for j, line in enumerate(new) if line in places])


def _longest_rising(pairs: list[_Pair]) -> list[_Pair]:
    """Return a longest selection of pairs, ascending in `j` as given, that also ascends in `i`."""
    ends: list[int] = []
    """The smallest `i` that a selection of each length can end with."""
    last: list[int] = []
    """The pair with that `i`."""
    before: list[int] = []
    """The best predecessor of each pair."""
    for number, (i, _) in enumerate(pairs):
        length = bisect_left(ends, i)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [i]
        last[length : length + 1] = [number]
    chosen: list[_Pair] = []
    number = last[-1] if last else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]
