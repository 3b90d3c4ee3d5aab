"""The file `history.jsonl` of a home: the user's messages of all conversations, one line each.

Other programs write to it too, so every change is made under its lock, and in place.
"""

import asyncio
import logging
import os
import time
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.files import filelock

log = logging.getLogger(__name__)

NAME: Final = "history.jsonl"
LOCK_TIMEOUT: Final = 1.0
"""Seconds to wait for another program that holds the lock."""
_PAUSE: Final = 0.1
"""Seconds between two attempts."""
KEPT_PERCENT: Final = 80
"""Size after shortening, in percent of the largest size."""


class MessageHistory:
    """Writes one conversation's messages to the file in the background. Belongs to the running loop."""

    def __init__(self, home: str, conversation_id: ConversationId, max_bytes: int | None) -> None:
        self._home = home
        self._conversation_id = conversation_id
        self._max_bytes = max_bytes
        self._writing: asyncio.Task[None] | None = None

    async def add(self, text: str) -> None:
        """Queue a message."""
        await self.close()
        self._writing = asyncio.get_running_loop().create_task(self._add(text, time.time()), name="message history")

    async def close(self) -> None:
        """Wait until all messages are written."""
        if self._writing is not None:
            await self._writing

    async def _add(self, text: str, at: float) -> None:
        try:
            await asyncio.to_thread(remember, self._home, self._conversation_id, text, at, self._max_bytes)
        except OSError as error:
            log.warning("%s was not written to: %s", NAME, error)


def remember(
    home: str,
    conversation_id: ConversationId,
    text: str,
    at: float,
    max_bytes: int | None,
    lock_timeout_s: float = LOCK_TIMEOUT,
) -> None:
    """Append a line, and drop the oldest ones where the file has grown beyond `max_bytes`.

    `at` is in seconds since the epoch. The newest line always stays. Blocks; raises `OSError`, of which `TimeoutError`
    where another process holds the lock for `lock_timeout_s`.
    """
    line = msgspec.json.encode({"session_id": conversation_id, "ts": int(at), "text": text}) + b"\n"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(os.path.join(home, NAME), flags, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        Reader(home).check(descriptor)
        filelock.acquire(descriptor, lock_timeout_s, _PAUSE)
        os.fchmod(descriptor, 0o600)
        file.write(line)
        size = os.fstat(descriptor).st_size
        if max_bytes is not None and size > max_bytes:
            newest = _newest_lines(descriptor, size, max_bytes * KEPT_PERCENT // 100) or line
            file.truncate(0)
            file.write(newest)


def _newest_lines(descriptor: int, size: int, room: int) -> bytes:
    """Return as many whole lines from the end as have room, possibly none."""
    _, _, lines = os.pread(descriptor, room + 1, max(0, size - room - 1)).partition(b"\n")
    return lines
