"""Computes the new text of a file from its old one and the chunks of a patch.

Only what a patch names is changed: kept lines stay as they are in the file, even if the patch spells their blanks,
dashes or quotes differently; line endings, a byte order mark, trailing blank lines and a missing final newline stay. An
added line gets the line ending of its neighbours, and always has one.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from greenroom.workers.patch.language import Chunk, MarkedLine
from greenroom.workers.patch.lines import bare, ending, raw_lines
from greenroom.workers.patch.matching import Searched
from greenroom.workers.patch.mismatch import header_not_found, lines_not_found

_BYTE_ORDER_MARK: Final = "\ufeff"


def revise(text: str, chunks: Sequence[Chunk], path: str) -> str:
    """Return `text` with all chunks applied. Raises `PatchMismatchError`, which names `path`, if one does not match."""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    file = _File(raw_lines(text.removeprefix(mark)), path)
    for chunk in chunks:
        file.place(chunk)
    return mark + file.revised()


class _Edit(msgspec.Struct, frozen=True):
    start: int
    lines: tuple[MarkedLine, ...]


_Variant: TypeAlias = tuple[tuple[MarkedLine, ...], bool]
"""Lines of a chunk, and whether they must end the file."""


class _File:
    """A file under revision. Chunks are located from its top to its bottom."""

    def __init__(self, raw: list[str], path: str) -> None:
        self._raw = raw
        self._path = path
        self._searched = Searched([bare(line) for line in raw])
        self._cursor = 0
        self._edits: list[_Edit] = []

    def place(self, chunk: Chunk) -> None:
        """Find the position of a chunk."""
        start = self._below_headers(chunk)
        for lines, at_end in _variants(chunk):
            old = _old(lines)
            place = self._find(old, start, at_end, bool(chunk.headers)) if old else self._gap(chunk, start, at_end)
            if place is not None:
                self._edits.append(_Edit(place, lines))
                self._cursor = place + len(old) if old else start
                return
        raise lines_not_found(self._path, self._searched, _old(chunk.lines), start, chunk)

    def _below_headers(self, chunk: Chunk) -> int:
        start = self._cursor
        for header in chunk.headers:
            place = self._searched.find([header], start)
            if place is None:
                raise header_not_found(self._path, self._searched, header, start, chunk)
            start = place + 1
        return start

    def _find(self, old: list[str], start: int, at_end: bool, has_header: bool) -> int | None:
        place = self._searched.find(old, start, at_end)
        if place is None and has_header:
            # The line of the header may be repeated as the first of the chunk.
            return self._searched.find(old, start - 1, at_end)
        return place

    def _gap(self, chunk: Chunk, start: int, at_end: bool) -> int | None:
        """The position of lines without context: below their header, or else at the end."""
        end = len(self._raw)
        if chunk.at_end or not (chunk.headers or at_end):
            return end
        return start if start == end or not at_end else None

    def revised(self) -> str:
        written = _Written(self._raw)
        for edit in sorted(self._edits, key=lambda edit: edit.start):
            written.keep_until(edit.start)
            for mark, text in edit.lines:
                written.take(mark, text)
        written.keep_until(len(self._raw))
        return written.text()


def _old(lines: Sequence[MarkedLine]) -> list[str]:
    return [text for mark, text in lines if mark != "+"]


def _variants(chunk: Chunk) -> Iterator[_Variant]:
    """Yield the lines as written, then without empty lines that the file need not have.

    Kept empty lines at the end of a chunk may be only for readability. An empty line that the patch removes, or below
    which it adds lines, may be the apparent one after the last newline of a file.
    """
    yield chunk.lines, chunk.at_end
    size = len(chunk.lines)
    while size and chunk.lines[size - 1][0] == " " and not chunk.lines[size - 1][1].strip():
        size -= 1
    lines = chunk.lines[:size]
    if size < len(chunk.lines):
        yield lines, chunk.at_end
    last = max((at for at, (mark, _) in enumerate(lines) if mark != "+"), default=-1)
    if last >= 0 and not lines[last][1].strip():
        added: tuple[MarkedLine, ...] = (("+", ""),) if lines[last][0] == " " else ()
        yield (*lines[:last], *added, *lines[last + 1 :]), True


class _Written:
    """The new text as it grows, line by line of the old."""

    def __init__(self, raw: list[str]) -> None:
        self._old = raw
        self._next = 0
        self._new: list[str] = []

    def keep_until(self, place: int) -> None:
        self._finish_line(self._next < place)
        self._new += self._old[self._next : place]
        self._next = place

    def take(self, mark: str, text: str) -> None:
        if mark == " ":
            self.keep_until(self._next + 1)
        elif mark == "-":
            self._next += 1
        else:
            self._finish_line(True)
            self._new.append(text + self._ending())

    def _finish_line(self, more_follows: bool) -> None:
        """End the last line of the old file, which had no newline, because lines are added below it."""
        if more_follows and self._new and not ending(self._new[-1]):
            self._new[-1] += self._ending()

    def _ending(self) -> str:
        """The ending of the nearest old line: above, or else below."""
        near = (self._next - 1, self._next - 2, self._next)
        ends = (ending(self._old[place]) for place in near if 0 <= place < len(self._old))
        return next((end for end in ends if end), "\n")

    def text(self) -> str:
        return "".join(self._new)
