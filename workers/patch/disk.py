"""The files of this machine, as a plan reads them: where a path leads, and what is there."""

import errno
import os
import stat
from collections.abc import Callable
from typing import Final, TypeAlias

from greenroom.runtime.open_directory import enter

Allowed: TypeAlias = Callable[[str], bool]
"""Tells of an absolute path without symlinks whether it may be touched."""

FILE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the largest file that a patch may touch."""

_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Disk:
    """Reads regular files only, and none that is too large or that `may_read` refuses."""

    def __init__(self, may_read: Allowed | None = None) -> None:
        self._may_read = may_read

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
            return self._read(os.path.realpath(target))
        except OSError as error:
            if os.path.islink(target) and not isinstance(error, PermissionError):
                return b""
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise

    def _read(self, path: str) -> bytes:
        if self._may_read is not None and not self._may_read(path):
            raise _refusal(errno.EACCES)
        parent, name = os.path.split(path)
        if not name:
            raise _refusal(errno.EISDIR)
        directory = enter(parent)
        try:
            descriptor = os.open(name, _READING, dir_fd=directory)
        finally:
            os.close(directory)
        with open(descriptor, "rb") as file:
            _check(os.fstat(descriptor))
            content = file.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT:
            raise _refusal(errno.EFBIG)
        return content


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(errno.EISDIR)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if status.st_size > FILE_LIMIT:
        raise _refusal(errno.EFBIG)


def _refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))
