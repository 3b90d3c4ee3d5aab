"""Time limits of a server's requests, which are suspended while the server waits for the user."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class RequestDeadlines:
    """The currently running limits of one server."""

    def __init__(self) -> None:
        self._running: set[asyncio.Timeout] = set()
        self._left: dict[asyncio.Timeout, float] = {}
        """Seconds left of each limit, resumed when the last question is answered."""
        self._questions = 0

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Raise `TimeoutError` once the body has taken that long, not counting questions."""
        async with asyncio.timeout(seconds) as timeout:
            self._running.add(timeout)
            if self._questions:
                self._stop(timeout)
            try:
                yield
            finally:
                self._running.discard(timeout)
                self._left.pop(timeout, None)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Suspend all limits while the body asks the user."""
        if not self._questions:
            for timeout in self._running:
                self._stop(timeout)
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                self._go_on()

    def _stop(self, timeout: asyncio.Timeout) -> None:
        when = timeout.when()
        if when is not None and not timeout.expired():
            self._left[timeout] = when - asyncio.get_running_loop().time()
            timeout.reschedule(None)

    def _go_on(self) -> None:
        now = asyncio.get_running_loop().time()
        for timeout, left in self._left.items():
            timeout.reschedule(now + left)
        self._left.clear()
