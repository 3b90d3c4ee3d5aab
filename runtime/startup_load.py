"""Whether more conversations begin at this moment than there are cores for, as whoever bears their workers sees it.

The fork server notes each birth, and with it, on a page of memory that all its children share, how long a rush
lasts. It
alone writes, and nobody has to ask. What it noted passes by itself, so that a fork server which dies leaves nothing
behind
that anybody waits for. A process that has no fork server has a page of its own, and it is never a rush.
"""

import mmap
import os
import struct
import time
from collections import deque
from typing import Final

WINDOW: Final = 0.3
"""Seconds in which more births than there are cores make a rush."""
LASTING: Final = 0.1
"""Seconds for which it is one after the latest birth: the processes just born keep the fork server from the cores."""
_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_TIME: Final = struct.Struct("d")
_until: Final = mmap.mmap(-1, mmap.PAGESIZE)
"""When the rush is over, in seconds of the clock that all processes share."""
_specs: Final[deque[float]] = deque(maxlen=_CORES + 1)


def note_birth() -> None:
    """Note that a worker is born at this moment."""
    now = time.monotonic()
    _specs.append(now)
    if len(_specs) > _CORES and now - _specs[0] < WINDOW:
        _TIME.pack_into(_until, 0, now + LASTING)


def is_on() -> bool:
    """Return whether it is a rush."""
    until: float = _TIME.unpack_from(_until, 0)[0]
    return time.monotonic() < until
