"""This process's memory and descriptors, which only it may read (`greenroom.runtime.process.hardening`)."""

import os
from typing import Final

from greenroom.protocol.footprint import Footprint

_ROLLUP: Final = "/proc/self/smaps_rollup"
_UNIQUE: Final = (b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")


def measure() -> Footprint:
    """Return the current figures. Takes about a millisecond, and raises nothing."""
    uss, pss = _memory()
    return Footprint(uss=uss, pss=pss, descriptors=_descriptors())


def _memory() -> tuple[int | None, int | None]:
    """Return USS and PSS in bytes (proc(5), /proc/pid/smaps_rollup)."""
    try:
        with open(_ROLLUP, "rb") as rollup:
            sizes = {name: int(size) * 1024 for name, size, *_ in map(bytes.split, rollup.readlines()[1:])}
    except FileNotFoundError:
        return _memory_elsewhere()
    except (OSError, ValueError):
        return None, None
    return sum(sizes.get(name, 0) for name in _UNIQUE), sizes.get(b"Pss:")


def _memory_elsewhere() -> tuple[int | None, int | None]:
    import psutil

    try:
        full = psutil.Process().memory_full_info()
    except psutil.Error:
        return None, None
    return full.uss, getattr(full, "pss", None)


def _descriptors() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # without the descriptor that lists them
        except OSError:
            continue
    return None
