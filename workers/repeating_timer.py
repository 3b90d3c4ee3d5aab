"""Calls back again and again on the running loop, without a task."""

import asyncio
from collections.abc import Callable


class RepeatingTimer:
    """Runs from its creation until it is stopped."""

    def __init__(self, callback: Callable[[], None], period: float) -> None:
        """Call `callback` every `period` seconds, the first time after one."""
        self._callback = callback
        self._period = period
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.call_later(period, self._fire)

    def stop(self) -> None:
        """Call back no more."""
        self._due.cancel()

    def _fire(self) -> None:
        self._due = self._loop.call_later(self._period, self._fire)
        self._callback()
