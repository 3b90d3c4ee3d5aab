"""Lock files between instances on one home: released by the kernel when their holder dies (docs/security.md, K5)."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Final

from greenroom.runtime.files import filelock
from greenroom.runtime.files.filelock import LockTimeoutError

log = logging.getLogger(__name__)

REFRESH: Final = ".auth.refresh.lock"
"""Held from the reading of a refresh token until its successor is on disk."""
STORE: Final = ".auth.store.lock"
"""Held for one change of the file. Where both are taken, this one is the second."""
REFRESH_TIMEOUT: Final = 60.0
STORE_TIMEOUT: Final = 5.0
PAUSE: Final = 0.05
"""Seconds between two attempts."""


@asynccontextmanager
async def locked(directory: str, name: str, timeout_s: float) -> AsyncIterator[int | None]:
    """Hold a lock file and yield its descriptor; `None` where it cannot be opened. Raises `LockTimeoutError`.

    On a file system without locks this holds nothing and says so in the log, once.
    """
    try:
        descriptor = filelock.open_lock(os.path.join(directory, name))
    except OSError as error:
        _warn(f"no lock at {name} ({error.strerror}): going by comparison alone")
        yield None
        return
    try:
        await _acquire(descriptor, name, timeout_s)
        yield descriptor
    finally:
        os.close(descriptor)


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


async def _acquire(descriptor: int, name: str, timeout_s: float) -> None:
    try:
        for pause in filelock.attempts(descriptor, timeout_s, PAUSE):
            await asyncio.sleep(pause)
    except LockTimeoutError:
        raise LockTimeoutError(f"{name} has been held by another instance for {timeout_s:.0f} s") from None
    except OSError as error:
        if error.errno not in filelock.UNSUPPORTED:
            raise
        _warn(f"the file system has no locks ({error.strerror}): going by comparison alone")


@cache
def _warn(text: str) -> None:
    """Log a warning, once."""
    log.warning(text)
