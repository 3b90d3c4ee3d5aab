"""What the page shows, as tables of rows that are plain JSON, and the difference between two such states.

Free of I/O. A page is sent the rows that differ from those that it has, so that what stands still costs nothing.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

TableName: TypeAlias = Literal[
    "instances", "conversations", "processes", "deaths", "paces", "nodes", "clients", "totals"
]
TableRow: TypeAlias = Mapping[str, object]
"""Values are JSON. Texts are safe to show."""
DashboardTables: TypeAlias = Mapping[TableName, Mapping[str, TableRow]]
"""Rows by key; a table of any state is complete."""
TableChanges: TypeAlias = dict[TableName, dict[str, TableRow | None]]
"""Rows that are new or differ, and `None` for those that are gone. A table without changes is left out."""

NAMES: Final[tuple[TableName, ...]] = get_args(TableName)
EMPTY: Final[DashboardTables] = {name: {} for name in NAMES}


def changes_between(before: DashboardTables, now: DashboardTables) -> TableChanges:
    """Return what has changed."""
    found = {name: _changed_rows(before[name], now[name]) for name in NAMES}
    return {name: rows for name, rows in found.items() if rows}


def apply_changes(before: DashboardTables, changed: TableChanges) -> DashboardTables:
    """Return the state after these changes, as a page does."""
    return {name: _applied(before[name], changed.get(name, {})) for name in NAMES}


def _changed_rows(before: Mapping[str, TableRow], now: Mapping[str, TableRow]) -> dict[str, TableRow | None]:
    gone = {key: None for key in before if key not in now}
    return {**gone, **{key: row for key, row in now.items() if before.get(key) != row}}


def _applied(before: Mapping[str, TableRow], rows: Mapping[str, TableRow | None]) -> dict[str, TableRow]:
    merged = {**before, **rows}
    return {key: row for key, row in merged.items() if row is not None}
