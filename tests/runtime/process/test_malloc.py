"""Memory that is free between what is used goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

HOLES = """
import os
from greenroom.runtime.process.malloc import trim

def resident():
    with open("/proc/self/statm", "rb") as sizes:
        return int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

pieces = [bytes(100_000) for _ in range(1_000)]
del pieces[:-1]  # the last one lies at the end of the heap
full = resident()
trim()
print(full - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
def test_holes_in_the_heap_go_back() -> None:
    told = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 50_000_000
