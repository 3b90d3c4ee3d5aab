"""Accepts the connections of a listening socket, and hands on each that it has accepted.

The server of asyncio has steps of the loop between the two, and drops what it has accepted if it is closed in one of
them: the client sees a reset though the socket is served on, by another process for instance.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

RETRY: Final = 1.0
"""Seconds until it is tried again to accept where that failed, for want of descriptors for instance."""


class Acceptor:
    """Accepts on the running loop from `resume` to `pause` or `close`. The listening socket stays its owner's."""

    def __init__(
        self, listening: socket.socket, take: Callable[[socket.socket], None], *, retry_s: float = RETRY
    ) -> None:
        """`take` is called with each connection, which does not block and is the callee's to close."""
        self._listening, self._take, self._retry_s = listening, take, retry_s
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._is_closed = False

    def resume(self) -> None:
        """Accept, unless it is closed."""
        if not self._is_closed:
            self._cancel_retry()
            self._listening.setblocking(False)
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def pause(self) -> None:
        """Leave further connections to the kernel for a while."""
        self._cancel_retry()
        if not self._is_closed:
            self._loop.remove_reader(self._listening.fileno())

    def close(self) -> None:
        """Accept no more. To be called before the listening socket is closed."""
        self.pause()
        self._is_closed = True

    def _accept(self) -> None:
        try:
            connected, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # it left, or went to another process
            return
        except OSError as error:  # out of descriptors: waiting clients are accepted when others have left
            log.warning("a client cannot be taken in: %s", error)
            self.pause()
            self._retry = self._loop.call_later(self._retry_s, self.resume)
            return
        connected.setblocking(False)
        self._take(connected)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
