"""Puts the memory of a process into huge pages, so that its forks copy smaller page tables.

A fork copies one entry of the page table for each page of 4 KiB. One of a huge page stands for 2 MiB. Where a child
writes, the kernel copies 4 KiB, as ever.
"""

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from typing import Final

_SIZE_FILE: Final = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
_MAPS: Final = "/proc/self/maps"
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes. Some machines have huge pages of 512 MiB, which no heap fills."""
_MADV_COLLAPSE: Final = 25
"""madvise(2), since Linux 6.1; whether huge pages are switched on for everybody does not matter."""
_OWN_MEMORY: Final = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p [0-9a-f]+ [0-9a-f:]+ 0 +(?:\[heap\])?$", re.MULTILINE)
"""Private memory that is of no file, without the stack (proc(5))."""

_libc = ctypes.CDLL(None, use_errno=True)


def collapse() -> Iterator[None]:
    """Go through the memory that this process has now, and yield after each huge page, which takes some milliseconds.

    Nothing happens where the system knows no huge pages or cannot be asked for them, nor to what it has none left for.
    """
    size = huge_page_size()
    if size is None:
        return
    for address in _blocks(size):
        failed = _libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), _MADV_COLLAPSE) != 0
        if failed and ctypes.get_errno() == errno.EINVAL:  # an older kernel
            return
        yield


def huge_page_size() -> int | None:
    """Return the bytes of a huge page; `None` where there are none that a heap would fill."""
    try:
        with open(_SIZE_FILE, encoding="ascii") as file:
            size = int(file.read())
    except (OSError, ValueError):
        return None
    return size if os.sysconf("SC_PAGE_SIZE") < size <= _LARGEST else None


def _blocks(size: int) -> list[int]:
    """Return the addresses at which a huge page would fit."""
    with open(_MAPS, encoding="utf-8", errors="replace") as file:
        found = [(int(start, 16), int(end, 16)) for start, end in _OWN_MEMORY.findall(file.read())]
    return [address for start, end in found for address in range(-start // size * -size, end - size + 1, size)]
