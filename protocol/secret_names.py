"""Names of the files in a Codex home that hold secrets, and how such names are compared. Free of I/O."""

import functools
from typing import Final

SECRET_NAMES: Final = (
    *("auth.json*", ".auth.*", ".credentials*", ".env", ".request-state.key*", ".http-token*", ".nodes.*"),
)
"""Entries that hold credentials and keys, with their locks and temporary files. A `*` at the end matches any suffix."""


@functools.lru_cache(maxsize=4096)
def covers(names: tuple[str, ...], name: str) -> bool:
    """Tell whether a name matches names in the form of `SECRET_NAMES`; case is ignored, as on some file systems."""
    folded = name.casefold()
    return any(
        folded.startswith(pattern[:-1].casefold()) if pattern.endswith("*") else folded == pattern.casefold()
        for pattern in names
    )
