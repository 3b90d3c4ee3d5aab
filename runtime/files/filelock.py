"""Exclusive locks on files (`flock`), which the kernel releases when their holder dies.

`attempts` yields the pauses between attempts, so that a caller can wait in its own way; `acquire` blocks.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

UNSUPPORTED: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EROFS, errno.EINVAL})
"""Errors of `try_lock` on file systems without locks."""
_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES})


class LockTimeoutError(TimeoutError):
    """Another process has held the lock for the whole time."""


def open_lock(path: str) -> int:
    """Open a lock file, made where it is missing, and return its descriptor; closing it releases the lock.

    A symbolic link is not followed. Raises `OSError`.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a lock file as `open_lock` does, and close it at the end."""
    descriptor = open_lock(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file; return whether no other process holds it. Raises `OSError`, see `UNSUPPORTED`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD_BY_ANOTHER:
            raise
        return False
    return True


def attempts(descriptor: int, timeout_s: float, pause_s: float) -> Iterator[float]:
    """Try until the lock is held, and yield the seconds to wait before each further attempt.

    Raises `LockTimeoutError` after `timeout_s`, and `OSError`.
    """
    deadline = time.monotonic() + timeout_s
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            raise LockTimeoutError(f"another process has held the lock for {timeout_s:g} s")
        yield pause_s


def acquire(descriptor: int, timeout_s: float, pause_s: float) -> None:
    """Wait for the lock, blocking. Raises as `attempts` does."""
    for pause in attempts(descriptor, timeout_s, pause_s):
        time.sleep(pause)


def holders() -> dict[int, int]:
    """Return the process that holds each lock, by inode. Empty where there is no `/proc/locks` (proc(5))."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks if " FLOCK " in line and " -> " not in line]
    except OSError:
        return {}
    return {int(row[5].rpartition(":")[2]): int(row[4]) for row in rows if len(row) > 5}
