"""The client's pipe on the event loop: reads while there is room for answers, writes as fast as the client reads."""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable

import msgspec

from greenroom.supervisor.frontend.descriptors import READ_SIZE, Descriptors

HIGH_WATER = 1024 * 1024
"""Bytes waiting for the client from which on workers are no longer read."""
LOW_WATER = 256 * 1024
INPUT_STOP = 16 * 1024 * 1024
"""Bytes waiting for the client from which on its own requests are left in its pipe."""


class StdioStatistics(msgspec.Struct, frozen=True):
    """Counters of the client's pipe."""

    read: int
    """Bytes read since the start."""
    written: int
    """Bytes written since the start."""
    waiting: int
    """Bytes that wait for the client to read."""


class StdioTransport:
    """The two ends of the client's pipe, on the running loop."""

    def __init__(
        self,
        descriptors: Descriptors,
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
        on_pressure: Callable[[bool], None],
    ) -> None:
        self._input, self._output = descriptors.input, descriptors.output
        self._on_data, self._on_end, self._on_pressure = on_data, on_end, on_pressure
        self._loop = asyncio.get_running_loop()
        self._queue: deque[memoryview] = deque()
        self._waiting = self._read = self._written = 0
        self._pressed = self._reading = self._writing = self._ended = self._broken = self._detached = False
        self._drained = asyncio.Event()
        self._drained.set()

    def start(self) -> None:
        """Start reading."""
        self._read_on()

    def write(self, data: bytes) -> None:
        """Queue complete lines. Never blocks; once the client is gone they are dropped."""
        if self._broken or not data:
            return
        self._queue.append(memoryview(data))
        self._waiting += len(data)
        if self._writing:
            self._feel_pressure()
        else:
            self._flush()

    async def drain(self) -> None:
        """Wait until everything is written or the client is gone."""
        await self._drained.wait()

    def statistics(self) -> StdioStatistics:
        """Return the counters."""
        return StdioStatistics(self._read, self._written, self._waiting)

    def detach(self) -> int:
        """Stop reading, and return a descriptor for another process; `close` it once that has a copy.

        Nothing may wait to be written.
        """
        self._ended = self._detached = self._broken = True
        self._stop_reading()
        return self._input

    def close(self) -> None:
        """Stop reading and return the descriptors in their original mode."""
        self._stop_reading()
        self._stop_writing()
        for descriptor in (self._input, self._output):
            if not self._detached:  # the mode is one with that of all copies
                os.set_blocking(descriptor, True)
            os.close(descriptor)

    def _read_on(self) -> None:
        if self._reading or self._ended:
            return
        self._reading = True
        try:
            self._loop.add_reader(self._input, self._on_readable)
        except PermissionError:  # epoll accepts no regular file, which is always readable anyway
            self._loop.call_soon(self._read_file)

    def _read_file(self) -> None:
        if self._reading and not self._ended:
            self._on_readable()
            self._loop.call_soon(self._read_file)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._input, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._read += len(data)
        if data:
            self._on_data(data)
        else:
            self._ended = True
            self._stop_reading()
            self._on_end()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._input)

    def _flush(self) -> None:
        while self._queue:
            try:
                count = os.write(self._output, self._queue[0])
            except BlockingIOError:
                break
            except OSError as error:
                self._abandon(error)
                return
            self._note_written(count)
        self._writing_goes_on(bool(self._queue))
        self._feel_pressure()

    def _note_written(self, count: int) -> None:
        self._written += count
        self._waiting -= count
        head = self._queue[0]
        if count == len(head):
            self._queue.popleft()
        else:
            self._queue[0] = head[count:]

    def _writing_goes_on(self, more: bool) -> None:
        if more and not self._writing:
            self._writing = True
            self._drained.clear()
            self._loop.add_writer(self._output, self._flush)
        elif not more:
            self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._output)
        self._drained.set()

    def _feel_pressure(self) -> None:
        pressed = self._waiting > (LOW_WATER if self._pressed else HIGH_WATER)
        if pressed != self._pressed:
            self._pressed = pressed
            self._on_pressure(pressed)
        if self._waiting > INPUT_STOP:
            self._stop_reading()
        elif not pressed:
            self._read_on()

    def _abandon(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EBADF):
            raise error
        self._broken = True
        self._queue.clear()
        self._waiting = 0
        self._stop_writing()
        self._feel_pressure()
