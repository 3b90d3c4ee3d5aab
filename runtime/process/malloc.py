"""Returns memory that the C library holds in reserve to the system.

Objects of one conversation leave holes between longer-lived ones, and glibc returns only memory at the end of its heap.
So a long-lived process would seem to grow for ever although it uses no more than before.
"""

import ctypes
from functools import cache


def trim() -> None:
    """Return free whole pages to the system. Takes some 100 µs; does nothing without glibc."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    """Return malloc_trim(3), `None` if it does not exist."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
