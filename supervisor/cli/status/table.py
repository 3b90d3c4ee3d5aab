"""Lines that fit the terminal, and tables of them: columns without content or without room are left out.

Texts are clean (`greenroom.protocol.display`); `room` is the number of cells of a line, `None` for as many as it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP: Final = 2
"""Cells between two columns."""
_MARGIN: Final = "  "
"""What the lines of a wrapped text begin with after the first."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Where there is no room for all, the one with the highest `rank` is left out first; rank 0 stays."""

    title: str
    rank: int
    right: bool = False
    """Whether its cells stand at the right end, as figures do."""
    least: int | None = None
    """Cells to which it may be cut; `None` where it may not be cut."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """A column that is shown: its place among the cells of a row, and its cells on the screen."""

    place: int
    column: Column
    cells: int


def clipped(text: str, room: int | None, style: str = "") -> Text:
    """Return a line, cut to its room with a mark at the cut."""
    made = Text(text, style)
    if room is not None:
        made.truncate(room, overflow="ellipsis")
    return made


def wrap(text: str, room: int | None, style: str = "") -> list[Text]:
    """Return a text as lines; those after the first are indented."""
    if room is None or cell_len(text) <= room:
        return [Text(text, style)]
    first = _wrapped(text, room)[0]
    rest = text[len(first) :].strip()
    margin = _MARGIN[: room - 1]
    return [Text(first, style), *(Text(margin + part, style) for part in _wrapped(rest, room - len(margin)))]


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[Text]:
    """Return the lines of a table, titles first."""
    titles = [column.title for column in columns]
    fits = _fits(columns, [titles, *rows], room)
    head, *body = ((" " * GAP).join(_cell(row, fit) for fit in fits).rstrip() for row in (titles, *rows))
    return [clipped(head, room, "dim"), *(clipped(text, room) for text in body)]


def _wrapped(text: str, cells: int) -> list[str]:
    return [part.plain.rstrip() for part in Text(text).wrap(Console(), cells)]


def _cell(row: Sequence[str], fit: _Fit) -> str:
    text = clipped(row[fit.place], fit.cells)
    text.align("right" if fit.column.right else "left", fit.cells)
    return text.plain


def _fits(columns: Sequence[Column], lines: Sequence[Sequence[str]], room: int | None) -> list[_Fit]:
    """Choose the columns: from the least important on, each is cut as far as it may be, or else left out."""
    fits = [
        _Fit(place, column, max(cell_len(row[place]) for row in lines))
        for place, column in enumerate(columns)
        if column.rank == 0 or any(row[place] for row in lines[1:])
    ]
    for fit in sorted(fits, key=lambda fit: fit.column.rank, reverse=True):
        excess = 0 if room is None else _taken(fits) - room
        if excess <= 0:
            break
        cut = min(_spare(fit), excess)
        if cut == excess or fit.column.rank == 0:
            fits[fits.index(fit)] = replace(fit, cells=fit.cells - cut)
        else:
            fits.remove(fit)
    return fits


def _taken(fits: Sequence[_Fit]) -> int:
    return sum(fit.cells for fit in fits) + GAP * (len(fits) - 1)


def _spare(fit: _Fit) -> int:
    """Return how many cells a column can give up."""
    return 0 if fit.column.least is None else max(0, fit.cells - max(fit.column.least, cell_len(fit.column.title)))
