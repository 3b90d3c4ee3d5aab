"""Finds lines in a file, exactly if possible, else ignoring differences in blanks, dashes and quotes."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

_TYPEWRITTEN: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
)


def _as_it_is(line: str) -> str:
    return line


def _typewritten(line: str) -> str:
    return line.strip().translate(_TYPEWRITTEN)


_PASSES: Final[tuple[Callable[[str], str], ...]] = (_as_it_is, str.rstrip, str.strip, _typewritten)
"""The normalization for each pass. The next pass is tried if the one before finds nothing."""


class Searched:
    """Lines in which to find sequences. Each pass indexes them once, so a search costs only its comparisons."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._indexes: list[_Index] = []

    def find(self, pattern: Sequence[str], start: int = 0, at_end: bool = False) -> int | None:
        """Return the first position of `pattern` at or after `start`; with `at_end`, only at the end of the lines."""
        if not pattern:
            return start
        last = len(self.lines) - len(pattern)
        first = max(start, last) if at_end else start
        if first > last:
            return None
        found = (index.find([index.form(line) for line in pattern], first, last) for index in self._every_index())
        return next((place for place in found if place is not None), None)

    def _every_index(self) -> Iterator["_Index"]:
        for number, form in enumerate(_PASSES):
            if number == len(self._indexes):
                self._indexes.append(_Index(self.lines, form))
            yield self._indexes[number]


class _Index:
    def __init__(self, lines: Sequence[str], form: Callable[[str], str]) -> None:
        self.form = form
        self._lines = [form(line) for line in lines]
        self._slots: defaultdict[str, list[int]] = defaultdict(list)
        for place, line in enumerate(self._lines):
            self._slots[line].append(place)

    def find(self, pattern: list[str], first: int, last: int) -> int | None:
        offset, places = min(
            ((offset, self._slots.get(line, [])) for offset, line in enumerate(pattern)), key=lambda pair: len(pair[1])
        )
        for number in range(bisect_left(places, first + offset), len(places)):
            place = places[number] - offset
            if place > last:
                break
            if self._lines[place : place + len(pattern)] == pattern:
                return place
        return None
