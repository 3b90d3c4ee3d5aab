"""The signs of life of one call: sent on news, and often enough that clients do not time out.

Clients reset their idle timers at each of them. Workers tell each step of a turn to those who ask, every two seconds
what they do while it runs, and nothing while it waits for its place; so what has not changed is told more rarely, and
waiting is told too.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from greenroom.runtime.throttle import Throttle

HEARTBEAT: Final = 10.0
"""Seconds without news after which a sign of life goes out all the same; clients are promised one every 15."""
INTERVAL: Final = 0.25
"""Least seconds between two that bring news; of what comes sooner the latest is told when they are over."""
WAITING: Final = "waiting for its turn"


class Progress:
    """Made when a call begins, on the running loop; `stop` it when the call is answered."""

    def __init__(self, send: Callable[[int, str], None]) -> None:
        """`send` takes the number of the sign, from 1, and what is being done."""
        self._send = send
        self._signs = 0
        self._doing = WAITING
        self._news = Throttle(INTERVAL, self._send_message)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEARTBEAT, self._repeat)

    def note(self, doing: str) -> None:
        """Note what is being done; send it if it is news."""
        if doing != self._doing:
            self._doing = doing
            self._news.offer(doing)

    def stop(self) -> None:
        """Tell nothing more."""
        self._news.stop()
        self._timer.cancel()

    def _repeat(self) -> None:
        self._send_message(self._doing)

    def _send_message(self, doing: str) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(HEARTBEAT, self._repeat)
        self._signs += 1
        self._send(self._signs, doing)
