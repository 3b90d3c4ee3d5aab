"""`config.toml` with its overrides applied, not yet validated."""

import os
from collections.abc import Iterable
from typing import Final

from greenroom.config.document import Table, read_document
from greenroom.config.overrides import Assignment, assign

CONFIG_FILE: Final = "config.toml"


def layered(home: str, assignments: Iterable[Assignment]) -> Table:
    """Read the home's file again and apply the overrides in order. Raises `ConfigError`."""
    table = read_document(os.path.join(home, CONFIG_FILE))
    for assignment in assignments:
        assign(table, assignment)
    return table
