"""Writes to a descriptor that others may use too, as fast as it is read, and notices when its reader is gone.

The descriptor stays blocking, because its mode is shared with all who have it, such as the shell at a terminal. So it
is written in pieces that never block where the system says that something can be written.
"""

import asyncio
import errno
import os
import select
import socket
import stat
from collections import deque
from collections.abc import Callable
from typing import Final

from greenroom.supervisor.frontend.stdio import HIGH_WATER, LOW_WATER, StdioStatistics

PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe takes at once where it takes any."""


class OutputPipe:
    """Implements `greenroom.supervisor.frontend.connection.Transport`, without input."""

    def __init__(self, descriptor: int, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """`on_gone` is called when the reader is gone."""
        self._descriptor = descriptor
        self._on_gone, self._on_pressure = on_gone, on_pressure
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._waiting = self._written = 0
        self._pressed = self._writing = self._watching = self._gone = False
        self._drained = asyncio.Event()
        self._drained.set()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def start(self) -> None:
        """Begin to look whether the reader is gone, where that can be seen."""
        kind = os.fstat(self._descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            self._watching = True
            self._loop.add_reader(self._descriptor, self._look)

    def write(self, data: bytes) -> None:
        """Queue complete lines. Never blocks; once the reader is gone they are dropped."""
        if self._gone or not data:
            return
        self._queue.extend(data[start : start + PIECE] for start in range(0, len(data), PIECE))
        self._waiting += len(data)
        if not self._writing:
            self._flush()
        self._feel_pressure()

    async def drain(self) -> None:
        """Wait until everything is written or the reader is gone."""
        await self._drained.wait()

    def statistics(self) -> StdioStatistics:
        """Return the counters."""
        return StdioStatistics(0, self._written, self._waiting)

    def close(self) -> None:
        """Stop writing. The descriptor stays open."""
        self._stop_watching()
        self._stop_writing()

    def _flush(self) -> None:
        while self._queue and self._poll.poll(0):
            try:
                count = os.write(self._descriptor, self._queue[0])
            except BlockingIOError:  # another process that shares it has made it non-blocking
                break
            except OSError as error:
                self._lose_reader(error)
                return
            self._written += count
            self._waiting -= count
            piece = self._queue.popleft()
            if count < len(piece):
                self._queue.appendleft(piece[count:])
        if self._queue:
            self._write_later()
        else:
            self._stop_writing()
        self._feel_pressure()

    def _write_later(self) -> None:
        if not self._writing:
            self._writing = True
            self._drained.clear()
            self._loop.add_writer(self._descriptor, self._flush)

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._descriptor)
        self._drained.set()

    def _stop_watching(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._descriptor)

    def _look(self) -> None:
        """Find out what there is to read: an error, where the reader of a pipe is gone, or the end of a socket."""
        if not stat.S_ISSOCK(os.fstat(self._descriptor).st_mode):
            self._leave()
            return
        try:
            with socket.socket(fileno=os.dup(self._descriptor)) as copy:
                unread = copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            unread = b""
        if unread:
            self._stop_watching()  # the reader writes to it, which is not awaited
        else:
            self._leave()

    def _lose_reader(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EBADF):
            raise error
        self._leave()

    def _leave(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._queue.clear()
        self._waiting = 0
        self._stop_watching()
        self._stop_writing()
        self._on_gone()

    def _feel_pressure(self) -> None:
        pressed = self._waiting > (LOW_WATER if self._pressed else HIGH_WATER)
        if pressed != self._pressed:
            self._pressed = pressed
            self._on_pressure(pressed)
