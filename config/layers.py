"""`config.toml` with its overrides applied, not yet validated."""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from greenroom.config.document import Table, read_document
from greenroom.config.overrides import Assignment, assign

CONFIG_FILE: Final = "config.toml"


class ConfigVersion(NamedTuple):
    """What tells one version of a home's file from another without reading it."""

    inode: int
    modified_ns: int
    size: int


def config_version(home: str) -> ConfigVersion | None:
    """Return which version of the home's file is there; `None` where there is none that can be seen."""
    try:
        facts = os.stat(os.path.join(home, CONFIG_FILE))
    except OSError:
        return None
    return ConfigVersion(facts.st_ino, facts.st_mtime_ns, facts.st_size)


def layered(home: str, assignments: Iterable[Assignment]) -> Table:
    """Read the home's file again and apply the overrides in order. Raises `ConfigError`."""
    table = read_document(os.path.join(home, CONFIG_FILE))
    for assignment in assignments:
        assign(table, assignment)
    return table
