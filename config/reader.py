"""Reads files named by a workspace, a client or a session, with the permissions of a sandboxed command.

An attacker may replace a file by a link, a pipe or another file. This must not reveal more than a command could read,
nor block the reader. So a file is first opened without side effects (O_PATH), the opened file is checked, and the same
file is then opened for reading; renaming it in between has no effect.
"""

import errno
import os
import stat
from functools import cached_property
from typing import BinaryIO, Final

from greenroom.config.secrets.other_homes import other_homes
from greenroom.config.secrets.secret_files import SecretFiles, secrets_of

LARGEST: Final = 64 * 1024 * 1024
"""Maximum bytes of a file that is read as a whole, unless given otherwise."""

SECRET: Final = "Permission denied: it may hold credentials"
KERNEL: Final = "Permission denied: it tells of processes or of the system"
NO_FILE: Final = "Not a regular file"
LINKED: Final = "A symbolic link lies on the way to it"

_KERNELS: Final = ("/proc", "/sys")
_LOOK: Final = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC
_BY_NUMBER: Final = hasattr(os, "O_PATH")
"""Whether the system can reopen a descriptor's file through /proc."""
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GET_PATH: Final = 50
"""F_GETPATH of macOS."""
_LONGEST_PATH: Final = 1024


class Reader:
    """Reads regular files that contain no secrets. Every rejection is an `OSError`, whose `strerror` says why."""

    def __init__(self, home: str, *closed: str) -> None:
        """`home` is the Codex home; files below the directories `closed` are not read either.

        Nor are secrets of further homes of the user.
        """
        self.home: Final = home
        self._closed = closed

    @cached_property
    def _secrets(self) -> tuple[SecretFiles, ...]:
        """Looked up with the first file that is read: many conversations read none."""
        return tuple(secrets_of(one) for one in (self.home, *other_homes(self.home, os.environ)))

    def read(self, path: str, limit: int = LARGEST) -> bytes:
        """Return the content of a file. Raises `OSError`, with `EFBIG` if it has more than `limit` bytes."""
        with self.open(path) as file:
            return _content(file, limit)

    def read_start(self, path: str, size: int) -> bytes:
        """Return the first bytes of a file, at most `size`. Raises `OSError`."""
        with self.open(path) as file:
            return file.read(size)

    def read_unlinked(self, path: str, limit: int = LARGEST) -> bytes:
        """Return the content of a file at an absolute path without any links. Raises `OSError`."""
        with os.fdopen(self.descriptor(path, follow=False), "rb") as file:
            return _content(file, limit)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, following links. Raises `OSError`."""
        return os.fdopen(self.descriptor(path), "rb")

    def descriptor(self, path: str, flags: int = _READ, *, follow: bool = True) -> int:
        """Return a descriptor of a file, which the caller closes. Raises `OSError`.

        Without `follow`, a path with a link is rejected (`ELOOP`). `flags` are those of `os.open` for an existing file.
        The opened file is always the one that was checked, even if its name refers to another by then.
        """
        place = os.open(path, _LOOK | (0 if follow else os.O_NOFOLLOW))
        try:
            self._judge(place, None if follow else os.path.normpath(path))
            return _reopened(place, path, flags)
        finally:
            os.close(place)

    def check(self, descriptor: int) -> None:
        """Raise `OSError` unless an open file may be read."""
        self._judge(descriptor, None)

    def _judge(self, descriptor: int, expected: str | None) -> None:
        status = os.fstat(descriptor)
        path = _path(descriptor)
        if expected is not None and (stat.S_ISLNK(status.st_mode) or path != expected):
            raise OSError(errno.ELOOP, LINKED)
        if any(_is_within(path, os.path.realpath(place)) for place in self._closed):
            raise PermissionError(errno.EACCES, SECRET)
        is_elsewhere = not os.path.isabs(path)  # on a file system that is mounted only for other processes
        if is_elsewhere or any(_is_within(path, place) for place in _KERNELS) or status.st_dev in _kernel_devices():
            raise PermissionError(errno.EACCES, KERNEL)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, NO_FILE)
        if any(one.hold(path, status) for one in self._secrets):
            raise PermissionError(errno.EACCES, SECRET)


def _content(file: BinaryIO, limit: int) -> bytes:
    if os.fstat(file.fileno()).st_size > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def _reopened(place: int, path: str, flags: int) -> int:
    """Reopen the file of a descriptor. If that is impossible through /proc, its path has to lead to the same file."""
    if _BY_NUMBER:
        return os.open(f"/proc/self/fd/{place}", flags)
    again = os.open(path, flags | os.O_NONBLOCK)
    if os.path.samestat(os.fstat(again), os.fstat(place)):
        return again
    os.close(again)
    raise OSError(errno.EAGAIN, "it was replaced meanwhile")


def _path(descriptor: int) -> str:
    """Return the path of an open file, without links."""
    if _BY_NUMBER:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    import fcntl

    return os.fsdecode(fcntl.fcntl(descriptor, _GET_PATH, bytes(_LONGEST_PATH)).rstrip(b"\0"))


def _kernel_devices() -> set[int]:
    """Return the device numbers of the kernel's virtual file systems, as mounted in the usual places."""
    devices = set()
    for place in _KERNELS:
        try:
            device = os.stat(place).st_dev
        except OSError:
            continue
        if device != os.stat("/").st_dev:
            devices.add(device)
    return devices


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)
