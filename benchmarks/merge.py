"""Puts rows that were measured in a run of their own into the page of an earlier run. Free of I/O."""

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.figures import Figure
from benchmarks.report import Row, cells, draw

_RULED: Final = "## "
_ITEM: Final = "* "
MACHINE: Final = "Machine"
PROGRAMS: Final = "Programs"


def merged(
    page: str, figures: Sequence[Figure], measured: Sequence[Row], sections: Mapping[str, Sequence[str]], when: str
) -> str:
    """Return the page with the measured rows in it, in the order of all figures.

    Of the sections, those that describe a run keep what they say: `Machine` gets a line that names the new rows and
    `when` they were measured, `Programs` the lines that are new. All others are replaced. Raises `ValueError` where the
    page has no table.
    """
    head, lines, rest = _split(page)
    rows = {line[0]: line for line in map(_cells_of, lines[2:])}
    rows |= {row.figure.title: cells(row) for row in measured}
    ordered = [rows[figure.title] for figure in figures if figure.title in rows]
    own = f"In a run of their own, {when}: " + "; ".join(row.figure.title for row in measured)
    text = f"{head}{draw(ordered)}{rest}"
    for heading, items in sections.items():
        kept = _items(text, heading) if heading in (MACHINE, PROGRAMS) else []
        new = [own] if heading == MACHINE else [item for item in items if item not in kept]
        text = _with_section(text, heading, [*kept, *new])
    return text


def _split(page: str) -> tuple[str, list[str], str]:
    """Return what precedes the table, its lines, and what follows."""
    lines = page.split("\n")
    numbers = [number for number, line in enumerate(lines) if line.startswith("|")]
    if not numbers:
        raise ValueError("the page has no table")
    first, end = numbers[0], numbers[-1] + 1
    return "\n".join([*lines[:first], ""]), lines[first:end], "\n".join(["", *lines[end:]])


def _cells_of(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


def _items(page: str, heading: str) -> list[str]:
    _, _, after = page.partition(f"{_RULED}{heading}\n")
    section = after.partition(f"\n{_RULED}")[0]
    return [line.removeprefix(_ITEM) for line in section.split("\n") if line.startswith(_ITEM)]


def _with_section(page: str, heading: str, items: Sequence[str]) -> str:
    before, found, after = page.partition(f"{_RULED}{heading}\n")
    following = after.partition(f"\n{_RULED}")
    text = f"{_RULED}{heading}\n\n" + "".join(f"{_ITEM}{item}\n" for item in items)
    if not found:
        return f"{page.rstrip()}\n\n{text}"
    return before + text + (f"\n{_RULED}{following[2]}" if following[1] else "")
