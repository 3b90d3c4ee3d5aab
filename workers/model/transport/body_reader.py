"""Reads the body of a model server's answer, with a deadline for silence, and in windows where much comes.

A model writes token by token, and each that is read by itself wakes this process and the supervisor's. Where they come
faster than a person can tell apart, the socket is read once in each window, and what waits together is one read.
"""

import asyncio
import math
import os
import re
import socket
from asyncio.trsock import TransportSocket
from contextlib import suppress
from typing import Final

from greenroom.runtime.http import aiohttp

SMOOTHING: Final = 0.25
"""Weight of the last read in the average time between two events."""
SILENCE: Final = 0.25
"""Seconds between two events after which the average begins anew."""
SUSTAINED: Final = 8
"""Events that have to have come without such a silence: the first words of an answer never wait."""
DENSE: Final = 0.5
"""Share of the window below which that average has to be for reads to wait. Slower streams are read as they come."""
HELD_BYTES: Final = 16 * 1024
"""Bytes of which the arrival ends a window."""
LATE: Final = 0.01
"""Seconds after its end that a window may be noticed; later ones say that the processors are not enough."""
GROWTH: Final = 1.5
"""Factor by which windows grow after one that was noticed late."""
DECAY: Final = 0.95
"""Factor by which they shrink again after any other."""
MOST: Final = 3.0
"""Factor that they grow to at most."""


class EventRate:
    """Decides how long reading waits, free of I/O. Times are seconds on any one clock."""

    def __init__(self) -> None:
        self._interval = math.inf
        self._read_at = -math.inf
        self._sustained = 0
        """Events since the stream was last silent."""

    def note(self, now: float, events: int) -> None:
        """Note that a read has brought events, one at least."""
        interval, self._read_at = (now - self._read_at) / events, now
        self._sustained += events
        if interval > SILENCE or self._interval > SILENCE:  # what the stream was before says nothing
            self._interval, self._sustained = interval, 0
        else:
            self._interval += SMOOTHING * (interval - self._interval)

    def pause(self, now: float, window: float) -> float:
        """Return the seconds for which the next read is to wait.

        `window`: least time between two reads of a dense stream; 0 where reading never waits.
        """
        if self._sustained < SUSTAINED or self._interval >= DENSE * window:
            return 0.0
        return max(0.0, self._read_at + window - now)


class Stretch:
    """Lengthens windows while processes wait for processors, since fewer reads leave more time. Free of I/O."""

    def __init__(self) -> None:
        self._factor = 1.0

    def note(self, lateness: float) -> None:
        """Note for how many seconds this process was not given a processor when a window had ended."""
        self._factor = min(MOST, self._factor * GROWTH) if lateness > LATE else max(1.0, self._factor * DECAY)

    def of(self, window: float) -> float:
        """Return the seconds that a window takes now."""
        return window * self._factor


class BodyReader:
    """Reads one response. Must be made on the running loop, and closed."""

    def __init__(self, response: aiohttp.ClientResponse, idle_timeout: float) -> None:
        """`idle_timeout`: seconds of silence after which a read raises `TimeoutError`."""
        self._response = response
        self._content = response.content
        self._idle_timeout = idle_timeout
        self._rate = EventRate()
        self._loop = asyncio.get_running_loop()
        self._asked_at: float | None = None
        """When the read began that waits; time that the consumer takes is no silence of the server."""
        self._watchdog = self._loop.call_later(idle_timeout, self._check)
        self._stretch = Stretch()
        self._held: TransportSocket | None = None
        """The connection, while less than `HELD_BYTES` does not wake this process."""
        self._resumption: asyncio.TimerHandle | None = None

    async def read(self, window: float) -> bytes:
        """Return what has arrived, waiting for it if need be; nothing at the body's end. Raises what aiohttp raises.

        `window`: as `EventRate.pause` has it.
        """
        now = self._asked_at = self._loop.time()
        pause = self._rate.pause(now, self._stretch.of(window))
        if pause > 0.0:
            self._hold(pause)
        try:
            return await self._content.readany()
        finally:
            self._asked_at = None

    def note(self, events: int) -> None:
        """Note how many events the last read has brought."""
        if events:
            self._rate.note(self._loop.time(), events)

    def close(self) -> None:
        """Stop the watch over silence; the connection is as it was."""
        self._watchdog.cancel()
        if self._resumption is not None:
            self._resumption.cancel()
            self._release()

    def _hold(self, seconds: float) -> None:
        """Let the kernel keep what arrives for a moment, so that it does not wake this process.

        The mark below which a socket does not count as readable (socket(7), SO_RCVLOWAT) is changed by one system call;
        to take the socket out of the event loop and back in would cost as much as all that is done with what is read.
        """
        if not _HOLDS:
            return
        if self._resumption is not None:  # so much has arrived that the window is not over yet
            return
        connection = self._response.connection
        transport = None if connection is None else connection.transport
        held = None if transport is None else transport.get_extra_info("socket")
        if held is not None and _set_low_water(held, HELD_BYTES):
            self._held = held
            self._resumption = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._resumption is not None:
            self._stretch.note(self._loop.time() - self._resumption.when())
        self._release()

    def _release(self) -> None:
        self._resumption = None
        if self._held is not None:
            _set_low_water(self._held, 1)
        self._held = None

    def _check(self) -> None:
        """Break the read that has waited for too long. One timer in all: one for each read would cost more than it."""
        now = self._loop.time()
        silent = 0.0 if self._asked_at is None else now - self._asked_at
        if silent >= self._idle_timeout:
            self._content.set_exception(TimeoutError())
            return
        self._watchdog = self._loop.call_later(self._idle_timeout - silent, self._check)


def _lower_marks_wake() -> bool:
    """Tell whether the system notices that a socket has become readable because its mark was lowered.

    Linux does so since 4.18; before, only the next byte would be noticed, and the last ones never.
    """
    facts = os.uname()
    numbers = re.match(r"(\d+)\.(\d+)", facts.release)
    return facts.sysname != "Linux" or (numbers is not None and (int(numbers[1]), int(numbers[2])) >= (4, 18))


_HOLDS: Final = _lower_marks_wake()


def _set_low_water(held: TransportSocket, size: int) -> bool:
    """Have a socket count as readable only with so many bytes, or at its end. Return whether that could be set."""
    with suppress(OSError):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        return True
    return False
