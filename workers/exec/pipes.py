"""Reads several pipes, or a terminal, in the order in which they fill, a bounded piece at a time."""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Mapping

from greenroom.protocol.internal.jobs import StreamName

READ_SIZE = 8192


class Pipes:
    """The reading ends of a command's output. Belongs to one task on the running loop; `close` must be called.

    A pipe is watched only while it was last found empty, so a slow reader delays the command and costs nothing.
    """

    def __init__(self, names: Mapping[int, StreamName]) -> None:
        self._loop = asyncio.get_running_loop()
        self._names = dict(names)
        self._ready: deque[int] = deque()
        self._stirred = asyncio.Event()
        for descriptor in self._names:
            os.set_blocking(descriptor, False)
            self._watch(descriptor)

    @property
    def open(self) -> bool:
        """Whether any pipe has not reached its end."""
        return bool(self._names)

    def read(self) -> tuple[StreamName, bytes] | None:
        """Read at most `READ_SIZE` bytes of one pipe, without waiting; `None` where all are empty."""
        while self._ready:
            descriptor = self._ready.popleft()
            try:
                chunk = _read(descriptor)
            except BlockingIOError:
                self._watch(descriptor)
                continue
            if chunk:
                self._ready.append(descriptor)
                return self._names[descriptor], chunk
            del self._names[descriptor]
            os.close(descriptor)
        return None

    async def wait(self) -> None:
        """Return when there may be something to read, or when `stir` is called."""
        await self._stirred.wait()
        self._stirred.clear()

    def stir(self) -> None:
        """Make `wait` return."""
        self._stirred.set()

    def close(self) -> None:
        """Close all pipes."""
        for descriptor in self._names:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._names.clear()
        self._ready.clear()

    def _watch(self, descriptor: int) -> None:
        self._loop.add_reader(descriptor, self._filled, descriptor)

    def _filled(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._ready.append(descriptor)
        self._stirred.set()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_SIZE)
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal's end of file: its other end is closed everywhere
            return b""
        raise
