"""The files of this machine, as a plan reads them: where a path leads, and what is there."""

import os
from collections.abc import Callable
from typing import TypeAlias

from greenroom.config.reader import Reader

Allowed: TypeAlias = Callable[[str], bool]
"""Tells of an absolute path without symlinks whether it may be touched."""


class Disk:
    """Reads what a reader reads, of `greenroom.config.reader.LARGEST` bytes at most."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def target(self, path: str, *, follow: bool) -> str:
        """Return where a path leads through the symlinks on its way, and with `follow` through one at its end."""
        if follow:
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        return os.path.join(os.path.realpath(directory), name)

    def read(self, target: str) -> bytes | None:
        """Return what is at a target, `None` where there is nothing. Raises `OSError`.

        A symlink reads as the file it leads to, and as empty where it leads to none: removing it needs no more.
        """
        try:
            return self._reader.read_unlinked(os.path.realpath(target))
        except OSError as error:
            if os.path.islink(target) and not isinstance(error, PermissionError):
                return b""
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise
