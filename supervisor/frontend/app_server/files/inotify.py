"""The kernel's reports of changes in directories (inotify(7)). Linux only."""

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct("iIII")
"""Number of the watch, mask, cookie, length of the name."""
READ_SIZE: Final = 64 * 1024

MODIFY: Final = 0x002
ATTRIB: Final = 0x004
MOVED_FROM: Final = 0x040
MOVED_TO: Final = 0x080
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ONLY_DIRECTORIES: Final = 0x01000000
CHANGES: Final = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF


class InotifyChange(NamedTuple):
    """One report."""

    number: int
    """Which watch it belongs to; -1 where reports were lost."""
    mask: int
    name: str
    """The entry of the directory; empty where it is about the directory itself."""


class Inotify:
    """The watches of one client. `close` it; the descriptor outlasts the additions that threads have begun by then."""

    def __init__(self) -> None:
        """Raises `OSError`, also on systems that have nothing of the kind."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.descriptor: int = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError:
            raise OSError(38, "this system does not report changes of files") from None
        self._lock = threading.Lock()
        self._additions = 0
        self._is_closed = False

    def add(self, directory: str) -> int:
        """Watch a directory and return the number of its watch. Raises `OSError`."""
        mask = CHANGES | ONLY_DIRECTORIES
        with self._lock:
            if self._is_closed:
                raise OSError(errno.EBADF, "nothing is watched any more")
            self._additions += 1
        try:
            return self._checked(self._libc.inotify_add_watch(self.descriptor, os.fsencode(directory), mask))
        finally:
            with self._lock:
                self._additions -= 1
                self._release()

    def remove(self, number: int) -> None:
        """Watch a directory no more. One that is gone is gone already."""
        self._libc.inotify_rm_watch(self.descriptor, number)

    def read(self) -> list[InotifyChange]:
        """Return what has been reported, a piece at most."""
        try:
            return list(read_changes(os.read(self.descriptor, READ_SIZE)))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Watch nothing any more. Never waits."""
        with self._lock:
            self._is_closed = True
            self._release()

    def _release(self) -> None:
        """Close the descriptor unless something uses it: another file would get its number."""
        if self._is_closed and not self._additions:
            os.close(self.descriptor)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def read_changes(data: bytes) -> Iterator[InotifyChange]:
    """Yield the reports in what the kernel has written."""
    at = 0
    while at < len(data):
        number, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = data[at : at + length].rstrip(b"\0")
        at += length
        yield InotifyChange(number, mask, name.decode(errors="replace"))
