"""How long a client of a host may leave unread what it is sent: it is let go before others wait for it without end."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from greenroom.supervisor.frontend.stdio import StdioStatistics

LOOKS: Final = 4
"""Looks at a client within the time that it has."""


class Patience(NamedTuple):
    """What a client may do without being let go."""

    seconds: float
    """For how long it may read nothing while much waits for it."""
    waiting: int
    """Bytes that may wait for it."""


class SlowReaderWatch:
    """Looks at one client while much waits for it (`…frontend.stdio.HIGH_WATER`)."""

    def __init__(
        self, patience: Patience, statistics: Callable[[], StdioStatistics], on_too_slow: Callable[[str], None]
    ) -> None:
        """`on_too_slow` is called at most once, with the reason for people."""
        self._patience = patience
        self._statistics = statistics
        self._on_too_slow = on_too_slow
        self._timer: asyncio.TimerHandle | None = None

    def pressure_changed(self, pressed: bool) -> None:
        """Look at the client while it is pressed."""
        if pressed:
            self._look(self._statistics().written, LOOKS)
        else:
            self.close()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, written: int, looks_left: int) -> None:
        """Look again later; the client is too slow when it has read nothing between all looks."""
        now = self._statistics()
        if now.written != written:
            looks_left = LOOKS
        if now.waiting > self._patience.waiting:
            self._on_too_slow(f"{now.waiting} bytes wait for it (`greenroom.client_buffer_mb`)")
        elif looks_left == 0:
            self._on_too_slow(f"it has read nothing for {self._patience.seconds:g} s (`greenroom.slow_client_s`)")
        else:
            delay = self._patience.seconds / LOOKS
            self._timer = asyncio.get_running_loop().call_later(delay, self._look, now.written, looks_left - 1)
