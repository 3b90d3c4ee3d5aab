"""A table that fits the terminal: columns without content or without room are left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from greenroom.supervisor.cli.status.cells import clip, fill, width

GAP: Final = 2
"""Cells between two columns."""


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


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """Return the lines of a table, titles first; `room`: cells of a line, `None` for as many as it takes."""
    fits = _fits(columns, rows, room)
    lines = [[column.title for column in columns], *rows]
    texts = [(" " * GAP).join(_cell(line, fit) for fit in fits).rstrip() for line in lines]
    return texts if room is None else [clip(text, room) for text in texts]


def _cell(line: Sequence[str], fit: _Fit) -> str:
    return fill(line[fit.place], fit.cells, right=fit.column.right)


def _fits(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[_Fit]:
    """Choose the columns: from the least important on, each is cut as far as it may be, or else left out."""
    lines = [[column.title for column in columns], *rows]
    fits = [
        _Fit(place, column, max(width(line[place]) for line in lines))
        for place, column in enumerate(columns)
        if column.rank == 0 or any(row[place] for row in rows)
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
    return 0 if fit.column.least is None else max(0, fit.cells - max(fit.column.least, width(fit.column.title)))
