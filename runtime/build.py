"""What the program was built from, where that is known."""

import os
from typing import Final

COMMIT: Final = "commit"
"""A file of the package that is added when it is built from a git checkout (`tools/release/commit.py`)."""


def commit() -> str | None:
    """Return the git commit, with `+changes` where files differed from it; `None` where it is not known."""
    import greenroom

    for folder in greenroom.__path__:
        try:
            with open(os.path.join(folder, COMMIT), encoding="ascii") as file:
                return file.read().strip() or None
        except OSError:
            continue
    return None
