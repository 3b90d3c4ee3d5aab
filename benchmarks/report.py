"""Summarizes the samples: one row for each figure, and the page. Free of I/O."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from benchmarks.budgets import Unit, quantity
from benchmarks.figures import Figure, Statistic

Verdict: TypeAlias = Literal["aim met", "met", "not met", "undecided", "not measured", "no budget"]
Samples: TypeAlias = Mapping[tuple[str, str], Sequence[float]]
"""The samples by figure and program."""

_HEADER: Final = ("Figure", "Budget", "Greenroom", "Reference", "Ratio", "")
_NOTHING: Final = "\u2013"


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one program's samples of one figure."""

    value: float
    """The median, or another statistic if the figure says so."""
    low: float
    high: float
    count: int

    def text(self, unit: Unit) -> str:
        """Return the value and, if there are several samples, their range and number."""
        if self.count == 1:
            return quantity(self.value, unit)
        spread = f"{quantity(self.low, unit).removesuffix(f' {unit}')}\u2013{quantity(self.high, unit)}"
        return f"{quantity(self.value, unit)} ({spread}, n = {self.count})"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its measurements."""

    figure: Figure
    greenroom: Summary | None
    reference: Summary | None

    @property
    def ratio(self) -> float | None:
        """Greenroom's value divided by the reference's."""
        if self.greenroom is None or self.reference is None or self.reference.value == 0:
            return None
        return self.greenroom.value / self.reference.value

    @property
    def verdict(self) -> Verdict:
        """Whether the budget is met."""
        if self.greenroom is None:
            return "not measured"
        if self.figure.budget is None:
            return "no budget"
        reference = None if self.reference is None else self.reference.value
        met = self.figure.budget.met(self.greenroom.value, reference)
        if not met:
            return "undecided" if met is None else "not met"
        aim = self.figure.budget.aimed()
        return "aim met" if aim is not None and aim.met(self.greenroom.value, reference) else "met"


def summarise(samples: Sequence[float], statistic: Statistic = "median") -> Summary | None:
    """Return the summary of samples, `None` if there are none."""
    if not samples:
        return None
    value = statistics.median(samples) if statistic == "median" else percentile(samples, 99)
    return Summary(value, min(samples), max(samples), len(samples))


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least this percentage of the samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def rows(figures: Sequence[Figure], samples: Samples) -> list[Row]:
    """Return a row for each figure, measured or not."""
    return [
        Row(
            figure,
            summarise(samples.get((figure.source, figure.subject), ()), figure.statistic),
            summarise(samples.get((figure.compared_with or figure.key, figure.rival), ()), figure.statistic),
        )
        for figure in figures
    ]


def missed(measured: Sequence[Row]) -> list[Row]:
    """Return the rows whose budget is not met."""
    return [row for row in measured if row.verdict == "not met"]


def table(measured: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    return draw([cells(row) for row in measured])


def draw(lines: Sequence[tuple[str, ...]]) -> str:
    """Return lines of cells as a Markdown table with the header, its columns aligned."""
    lines = [_HEADER, *lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    texts = [_line([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]) for line in lines]
    return "\n".join([texts[0], _line(["-" * width for width in widths]), *texts[1:]])


def page(measured: Sequence[Row], sections: Mapping[str, Sequence[str]], picture: str = "") -> str:
    """Return the whole page: the table, the picture in Markdown where there is one, then a list under each heading."""
    lists = [f"## {heading}\n\n" + "\n".join(f"* {item}" for item in items) for heading, items in sections.items()]
    introduction = (
        "Written by `make bench`. The budgets are those of the design; figures are medians with the range in brackets."
        " [Budgets that are not met](budgets.md) has the reason for each row that says so, and what was tried."
    )
    pictures = [picture] if picture else []
    return "\n\n".join(["# Benchmarks", introduction, table(measured), *pictures, *lists]) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """Return the line of one figure."""
    unit = row.figure.unit
    return (
        row.figure.title,
        row.figure.budget.text(unit) if row.figure.budget else _NOTHING,
        row.greenroom.text(unit) if row.greenroom else _NOTHING,
        row.reference.text(unit) if row.reference else _NOTHING,
        _NOTHING if row.ratio is None else f"{row.ratio:.3g}",
        row.verdict,
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
