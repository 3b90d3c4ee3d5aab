"""The last samples of what the page draws as curves. Free of I/O and clocks."""

from collections import deque
from collections.abc import Iterator
from typing import Final, TypeAlias

from greenroom.supervisor.cli.dashboard.tables import DashboardTables, TableName, TableRow

KEPT: Final = 60
"""Samples of a row."""
SAMPLED: Final[tuple[TableName, ...]] = ("conversations", "totals")
"""The tables whose rows have curves, of their `cpu` and `memory`."""

Curves: TypeAlias = dict[TableName, dict[str, dict[str, list[float | None]]]]
"""By table, row and column: the samples, the oldest first; `None` where nothing was known."""
_COLUMNS: Final = ("cpu", "memory")


class Samples:
    """Keeps the last samples of rows that are there."""

    def __init__(self) -> None:
        self._kept: dict[tuple[TableName, str], deque[tuple[float | None, ...]]] = {}

    def add(self, tables: DashboardTables) -> None:
        """Take a sample of each row. Rows that are gone, or have nothing to measure, are forgotten."""
        taken = {key: sample for key, sample in _samples(tables) if any(value is not None for value in sample)}
        self._kept = {key: self._kept.get(key, deque(maxlen=KEPT)) for key in taken}
        for key, sample in taken.items():
            self._kept[key].append(sample)

    def curves(self) -> Curves:
        """Return what is kept."""
        found: Curves = {name: {} for name in SAMPLED}
        for (name, key), samples in self._kept.items():
            found[name][key] = {
                column: list(values) for column, values in zip(_COLUMNS, zip(*samples, strict=True), strict=True)
            }
        return found


def _samples(tables: DashboardTables) -> Iterator[tuple[tuple[TableName, str], tuple[float | None, ...]]]:
    for name in SAMPLED:
        for key, row in tables[name].items():
            yield (name, key), tuple(_number(row, column) for column in _COLUMNS)


def _number(row: TableRow, column: str) -> float | None:
    value = row.get(column)
    return value if isinstance(value, int | float) else None
