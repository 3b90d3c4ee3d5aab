"""Makes the objects of a process immortal, so that processes forked from it share the pages that hold them.

CPython counts the references to an object in the object itself, so merely using one writes to its page, and after a
fork the kernel copies that page. Since 3.12 a count of a certain value is never changed (PEP 683). The interpreter
gives it to a few objects only; here every object that exists gets it. An immortal object is never deallocated: this is
for a process that keeps what it has loaded until it ends.
"""

import ctypes
import gc
import sys
import sysconfig
import time
from collections import deque
from functools import cache
from itertools import repeat
from types import CodeType, FrameType
from typing import Final

_VERSIONS: Final = ((3, 12), (3, 13))
"""Versions of CPython whose immortal count is known to be the one below."""
_COUNT_SIZE: Final = 4
"""Bytes of the count that have to be set: those that are tested before it is changed."""
_IMMORTAL: Final = 0xFFFF_FFFF
_BATCH: Final = 1000
"""Objects of one round. A round takes about a millisecond."""


@cache
def is_supported() -> bool:
    """Tell whether this interpreter has immortal objects that can be made; tried on an object of its own."""
    if (
        sys.implementation.name != "cpython"
        or sys.version_info[:2] not in _VERSIONS
        or sys.byteorder != "little"
        or sys.maxsize < 2**32
        or hasattr(sys, "gettotalrefcount")  # a debug build, which checks the sum of all counts
        or sysconfig.get_config_var("Py_GIL_DISABLED")  # whose objects have two counts
    ):
        return False
    probe = object()
    _make_immortal([probe])
    more = [probe] * 3
    return len(more) == 3 and sys.getrefcount(probe) == _IMMORTAL


class Immortalizer:
    """Makes all objects immortal that exist when it is made, and what they refer to, a part at a time."""

    def __init__(self) -> None:
        self._pending = _all_objects() if is_supported() else []
        self.made = 0
        """Objects that were made immortal so far."""

    @property
    def has_work(self) -> bool:
        """Whether there are objects left."""
        return bool(self._pending)

    def work(self, seconds: float) -> None:
        """Go on for about so many seconds."""
        deadline = time.monotonic() + seconds
        while self._pending and time.monotonic() < deadline:
            self._round()
        if not self._pending:
            self._pending = []  # and not the one that has room for all of them

    def _round(self) -> None:
        taken, self._pending[-_BATCH:] = self._pending[-_BATCH:], []
        count = sys.getrefcount
        fresh = list({id(found): found for found in taken if count(found) < _IMMORTAL}.values())
        _make_immortal(fresh)
        self.made += len(fresh)
        self._pending += gc.get_referents(*fresh)
        self._pending += [part for code in fresh if type(code) is CodeType for part in _parts(code)]


def _make_immortal(objects: list[object]) -> None:
    deque(map(ctypes.memset, map(id, objects), repeat(0xFF), repeat(_COUNT_SIZE)), maxlen=0)


def _all_objects() -> list[object]:
    gc.unfreeze()  # what is frozen is not listed
    found = [tracked for tracked in gc.get_objects() if not isinstance(tracked, FrameType)]
    gc.freeze()
    return found


def _parts(code: CodeType) -> tuple[object, ...]:
    """Return what a code object refers to, which the collector does not know since it makes no cycles."""
    return (
        code.co_consts,
        code.co_names,
        code.co_name,
        code.co_qualname,
        code.co_filename,
        code.co_linetable,
        code.co_exceptiontable,
    )
