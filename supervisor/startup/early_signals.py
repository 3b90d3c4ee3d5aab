"""Signals that arrive before a server's loop handles them."""

import signal
from typing import NoReturn

from greenroom.supervisor.startup.server import STOP_SIGNALS


def end_early_at_signals() -> None:
    """End at a signal from now on, until the loop handles signals; processes that were started end with this one."""
    for number in STOP_SIGNALS:
        signal.signal(number, _end)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)
