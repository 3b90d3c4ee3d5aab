"""Tells whether more conversations are starting than there are cores for, as seen by the fork server.

The fork server records each start, and until when the rush lasts, in a page of memory shared by all its children. It is
the only writer, so no locking or request is needed. The rush expires by itself, so a dead fork server leaves nothing
for others to wait for. A process without a fork server has a page of its own, where there is never a rush.
"""

import mmap
import os
import struct
import time
from collections import deque
from typing import Final

WINDOW: Final = 0.3
"""Seconds within which more starts than there are cores make a rush."""
LASTING: Final = 0.1
"""Seconds for which a rush lasts after the latest start: new processes keep the fork server from the cores."""
_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_TIME: Final = struct.Struct("d")
_until: Final = mmap.mmap(-1, mmap.PAGESIZE)
"""The end of the rush, in seconds of the clock that all processes share."""
_specs: Final[deque[float]] = deque(maxlen=_CORES + 1)


def note_birth() -> None:
    """Record that a worker is being started now."""
    now = time.monotonic()
    _specs.append(now)
    if len(_specs) > _CORES and now - _specs[0] < WINDOW:
        _TIME.pack_into(_until, 0, now + LASTING)


def is_on() -> bool:
    """Return whether there is a rush."""
    until: float = _TIME.unpack_from(_until, 0)[0]
    return time.monotonic() < until
