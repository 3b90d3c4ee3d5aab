"""Tells what is new at most every so often: at once where nothing was told lately, else later, and only the latest."""

import asyncio
from collections.abc import Callable


class Throttle:
    """Made anywhere, used on one running loop."""

    def __init__(self, interval: float, send: Callable[[str], None]) -> None:
        """`interval` is the least time between two calls of `send`, in seconds."""
        self._interval = interval
        self._send = send
        self._latest: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, text: str) -> None:
        """Tell it now, or let it take the place of what waits to be told."""
        if self._timer is None:
            self._tell(text)
        else:
            self._latest = text

    def forget(self) -> None:
        """Drop what waits; what comes next is told no sooner for that."""
        self._latest = None

    def stop(self) -> None:
        """Tell nothing more, and keep nothing alive that was to be told."""
        self._latest = None
        self._send = _tell_nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, text: str) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._expire)
        self._send(text)

    def _expire(self) -> None:
        self._timer = None
        latest, self._latest = self._latest, None
        if latest is not None:
            self._tell(latest)


def _tell_nobody(_text: str) -> None:
    """Take the place of what is not to be told any more."""
