"""Text in the cells of a terminal: how many it takes, and cut to fit. It is clean (`greenroom.protocol.display`)."""

import unicodedata
from typing import Final

MORE: Final = "…"

_WIDE: Final = frozenset("WF")
_NO_CELL: Final = frozenset({"Mn", "Me", "Cf"})


def width(text: str) -> int:
    """Return how many cells a clean text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def clip(text: str, cells: int) -> str:
    """Return a clean text cut to so many cells, with a mark at the cut."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    kept, taken = [], 0
    for character in text:
        taken += _cells(character)
        if taken > cells - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + MORE


def wrap(text: str, cells: int | None, margin: str = "") -> list[str]:
    """Return a clean text as lines of at most so many cells; those after the first begin with `margin`."""
    if cells is None or width(text) <= cells:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line.strip() else line + word
        if width(longer) > cells and line.strip():
            lines.append(line)
            longer = margin + word
        line = longer
    return [clip(one, cells) for one in (*lines, line)]


def fill(text: str, cells: int, *, right: bool = False) -> str:
    """Return a clean text in exactly so many cells, cut or padded; `right`: pad before it."""
    cut = clip(text, cells)
    padding = " " * (cells - width(cut))
    return padding + cut if right else cut + padding


def _cells(character: str) -> int:
    if unicodedata.category(character) in _NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
