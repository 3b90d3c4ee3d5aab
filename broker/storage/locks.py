"""Lock files between instances on one home: released by the kernel when their holder dies (docs/security.md, K5)."""

import asyncio
import errno
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from typing import Final

log = logging.getLogger(__name__)

REFRESH: Final = ".auth.refresh.lock"
"""Held from the reading of a refresh token until its successor is on disk."""
STORE: Final = ".auth.store.lock"
"""Held for one change of the file. Where both are taken, this one is the second."""
REFRESH_TIMEOUT: Final = 60.0
STORE_TIMEOUT: Final = 5.0
PAUSE: Final = 0.05
"""Seconds between two attempts."""

_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES})
_WITHOUT_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EROFS, errno.EINVAL})
"""Errors of file systems without locks, or without a place for the lock file."""


class LockTimeoutError(TimeoutError):
    """Another instance has held the lock for the whole time."""


@asynccontextmanager
async def locked(directory: str, name: str, timeout_s: float) -> AsyncIterator[int | None]:
    """Hold a lock file and yield its descriptor; `None` on a file system without locks. Raises `LockTimeoutError`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    with _opened(os.path.join(directory, name)) as descriptor:
        while descriptor is not None and not _try(descriptor):
            if asyncio.get_running_loop().time() >= deadline:
                raise LockTimeoutError(f"{name} has been held by another instance for {timeout_s:.0f} s")
            await asyncio.sleep(PAUSE)
        yield descriptor


@asynccontextmanager
async def writing(directory: str, *, must: bool) -> AsyncIterator[None]:
    """Hold the store lock. Without `must`, continue where another holds it: tokens that are not written are lost.

    With `must` this raises `LockTimeoutError`.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(locked(directory, STORE, STORE_TIMEOUT))
        except OSError as error:
            if must:
                raise
            log.warning("no store lock (%s); going by comparison alone", error)
        yield


@contextmanager
def _opened(path: str) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        _warn(f"no lock at {os.path.basename(path)} ({error.strerror}): going by comparison alone")
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        if error.errno not in _WITHOUT_LOCKS:
            raise
        _warn(f"the file system has no locks ({error.strerror}): going by comparison alone")
    return True


@cache
def _warn(text: str) -> None:
    """Log a warning, once."""
    log.warning(text)
