"""Explains why lines were not found in a file, with expected and actual lines, so that the model can correct its
patch."""

import re
from collections.abc import Sequence
from typing import Final

from greenroom.workers.patch.errors import PatchMismatchError
from greenroom.workers.patch.language import Chunk
from greenroom.workers.patch.matching import Searched

_RANGES: Final = re.compile(r"-\d+(,\d+)? \+\d+(,\d+)?( @@.*)?")
_SHOWN: Final = 200
"""Maximum characters of a line in an error text."""


def header_not_found(path: str, file: Searched, header: str, start: int, chunk: Chunk) -> PatchMismatchError:
    """`start` is where the search began, counted from 0."""
    hint = _about_header(file, header, start)
    return PatchMismatchError(f"Failed to find context '{header}' in {path}\n({hint}; {_place(chunk)})")


def lines_not_found(path: str, file: Searched, old: Sequence[str], start: int, chunk: Chunk) -> PatchMismatchError:
    """`old` are the lines that were searched from `start` on."""
    lines, hint = "\n".join(old), _about_lines(file, old, start, chunk)
    return PatchMismatchError(f"Failed to find expected lines in {path}:\n{lines}\n({hint}; {_place(chunk)})")


def _place(chunk: Chunk) -> str:
    return f"see line {chunk.number} of the patch"


def _about_header(file: Searched, header: str, start: int) -> str:
    if _RANGES.fullmatch(header.strip()):
        return "line numbers mean nothing here: write '@@' alone, or '@@ ' and a whole line of the file"
    above = file.find([header])
    if above is not None:
        return _too_far_up(above, start)
    part = header.strip()
    for number, line in enumerate(file.lines, 1):
        if part in line:
            return f"line {number} of the file contains it, but a header has to be a whole line: {_short(line)}"
    return "no line of the file is like it"


def _about_lines(file: Searched, old: Sequence[str], start: int, chunk: Chunk) -> str:
    place = file.find(old)
    if place is None:
        return _about_missing(file, old)
    if chunk.at_end and place >= start:
        return f"they begin at line {place + 1} of the file, but do not end it"
    return _too_far_up(place, start)


def _about_missing(file: Searched, old: Sequence[str]) -> str:
    missing = next((line for line in old if file.find([line]) is None), None)
    if missing is not None:
        return f"no line of the file is like {_short(missing)}"
    return "the file has each of them, but not all together in this order"


def _too_far_up(place: int, start: int) -> str:
    return (
        f"it is at line {place + 1} of the file, but the search began at line {start + 1}: "
        "chunks have to follow the order of the file, and a header is followed by lines below it"
    )


def _short(line: str) -> str:
    return f"'{line}'" if len(line) <= _SHOWN else f"'{line[:_SHOWN]}…'"
