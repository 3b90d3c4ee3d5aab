"""Names of the files in a Codex home that hold secrets, and how such names are compared. Free of I/O."""

import functools
from typing import Final

SECRET_NAMES: Final = ("auth.json*", ".auth.*", ".credentials*", ".env", ".request-state.key*")
"""Entries that hold credentials and keys, their locks and their temporary files. With a `*` at the end: all that begin
so."""


@functools.lru_cache(maxsize=4096)
def covers(names: tuple[str, ...], name: str) -> bool:
    """Tell whether a name is among some of the form of `SECRET_NAMES`; case is ignored, as some file systems do."""
    folded = name.casefold()
    return any(
        folded.startswith(one[:-1].casefold()) if one.endswith("*") else folded == one.casefold() for one in names
    )
