"""Signals that arrive before a server's loop handles them.

They are only noted: an exception out of a signal handler is lost where Python happens to run a hook of the interpreter,
such as that of a weak reference or of a fork.
"""

import signal
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_noted: Final[list[signal.Signals]] = []


def note_early_signals() -> None:
    """Note the signals that end a server from now on, until the loop handles them."""
    for number in STOP_SIGNALS:
        signal.signal(number, _note)


def take_early_signals() -> list[signal.Signals]:
    """Return what was noted, once, in order. To be called when the loop handles signals."""
    taken = list(_noted)
    _noted.clear()
    return taken


def _note(number: int, _: object) -> None:
    _noted.append(signal.Signals(number))
