"""The key of a home that signs state which clients return: created once for all runs, hidden from commands."""

import logging
import os
from secrets import token_bytes
from typing import Final

from greenroom.protocol.ids import uuid7
from greenroom.protocol.mcp.request_state import KEY_SIZE

NAME: Final = ".request-state.key"

log = logging.getLogger(__name__)


def state_key(home: str) -> bytes:
    """Return the key, created where there is none. One that can be neither read nor stored serves this run only."""
    path = os.path.join(home, NAME)
    try:
        return _read(path) or _make(path)
    except OSError as error:
        log.warning("no key for request states can be kept (%s); approvals end with this run", error)
        return token_bytes(KEY_SIZE)


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        key = file.read(KEY_SIZE)
    return key if len(key) == KEY_SIZE else None


def _make(path: str) -> bytes:
    """Write a key under a temporary name and link it: of several runs that start at once exactly one wins."""
    key, fresh = token_bytes(KEY_SIZE), f"{path}.{uuid7()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(key)
        os.link(fresh, path)
    except FileExistsError:
        return _read(path) or key
    finally:
        os.unlink(fresh)
    return key
