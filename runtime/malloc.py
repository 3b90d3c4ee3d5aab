"""Memory that the C library keeps for this process though nobody uses it.

What comes and goes with each conversation leaves holes between what stays, and glibc gives back only what lies at the
end of its heap. So a process that lives long would seem to grow for ever, though it holds no more than before.
"""

import ctypes
from functools import cache


def trim() -> None:
    """Return whole pages that are free to the system. Takes some 100 µs; does nothing without glibc."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    """Return malloc_trim(3), `None` where there is none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
