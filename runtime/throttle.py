"""Limits how often updates are sent: at once after a pause, else later, and then only the latest."""

import asyncio
from collections.abc import Callable


class Throttle:
    """May be created anywhere; used on one running loop."""

    def __init__(self, interval: float, send: Callable[[str], None]) -> None:
        """`interval` is the minimum time between two calls of `send`, in seconds."""
        self._interval = interval
        self._send = send
        self._latest: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, text: str) -> None:
        """Send a value now, or as the replacement of the waiting one later."""
        if self._timer is None:
            self._pass_on(text)
        else:
            self._latest = text

    def forget(self) -> None:
        """Drop the waiting value; the interval continues to run."""
        self._latest = None

    def stop(self) -> None:
        """Send nothing more, and release the waiting value."""
        self._latest = None
        self._send = _drop
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pass_on(self, text: str) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._expire)
        self._send(text)

    def _expire(self) -> None:
        self._timer = None
        latest, self._latest = self._latest, None
        if latest is not None:
            self._pass_on(latest)


def _drop(_text: str) -> None:
    """Replaces the callback after `close`."""
