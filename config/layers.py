"""`config.toml` with the assignments that win over it laid on top, not yet checked."""

import os
from collections.abc import Iterable
from typing import Final

from greenroom.config.document import Table, read_document
from greenroom.config.overrides import Assignment, assign

CONFIG_FILE: Final = "config.toml"


def layered(home: str, assignments: Iterable[Assignment]) -> Table:
    """Read the home's file afresh and apply the assignments in order. Raises `ConfigError`."""
    table = read_document(os.path.join(home, CONFIG_FILE))
    for assignment in assignments:
        assign(table, assignment)
    return table
