"""Files of a directory that are rewritten as a whole, and what a writer leaves there that was killed meanwhile."""

import contextlib
import os
import re
from typing import Final

_UNFINISHED: Final = re.compile(r"\..+\.(\d+)")
"""How a file is called until it takes the place of its older version; the number is the pid of its writer."""


def rewrite(folder: str, name: str, content: bytes) -> None:
    """Make `content` that of a file, for its user alone. Readers see the whole of the older or the newer version.

    `name` is the file's path within `folder`, in which the newer version is written.

    What is so already is not written again, so that this much needs no room on the disk. Raises `OSError`.
    """
    path = os.path.join(folder, name)
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as present:
        if present.read(len(content) + 1) == content:
            return
    fresh = os.path.join(folder, f".{os.path.basename(name)}.{os.getpid()}")
    try:
        with open(fresh, "wb", opener=_open_private) as file:
            file.write(content)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise


def remove_unfinished(folder: str, pid: int | None = None) -> None:
    """Remove what was not written to its end: by the process `pid`, which has ended, or by any, where none is left."""
    with contextlib.suppress(OSError):  # it stays in place, where it does no harm
        for name in os.listdir(folder):
            writer = _UNFINISHED.fullmatch(name)
            if writer is not None and pid in (None, int(writer[1])):
                os.unlink(os.path.join(folder, name))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
