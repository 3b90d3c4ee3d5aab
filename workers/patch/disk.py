"""The local files as a plan reads them: resolving paths, and their content."""

import os
from collections.abc import Callable
from typing import TypeAlias

from greenroom.config.reader import Reader

Allowed: TypeAlias = Callable[[str], bool]
"""Tells whether an absolute path without symlinks may be changed."""


class Disk:
    """Reads files through a `Reader`, at most `greenroom.config.reader.LARGEST` bytes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def target(self, path: str, *, follow: bool) -> str:
        """Resolve the symlinks in a path, and with `follow` also one at its end."""
        if follow:
            return os.path.realpath(path)
        directory, name = os.path.split(path)
        return os.path.join(os.path.realpath(directory), name)

    def read(self, target: str) -> bytes | None:
        """Return the content of a target, `None` if it does not exist. Raises `OSError`.

        A symlink has the content of its target, and is empty if that does not exist: removing it needs no more.
        """
        try:
            return self._reader.read_unlinked(os.path.realpath(target))
        except OSError as error:
            if os.path.islink(target) and not isinstance(error, PermissionError):
                return b""
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise
