"""The processes of a server as they are at one moment, their end, and their memory."""

import contextlib
import ctypes
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator

import psutil
from psutil import Process

MARKER = "GREENROOM_TEST_RUN"
"""A variable that every process of a test inherits, by which it is found wherever it went."""

_PR_GET_CHILD_SUBREAPER = 37
_KERNEL = ctypes.CDLL(None)


def adopts_orphans() -> bool:
    """Tell whether the orphans of its descendants come to this process (prctl(2))."""
    adopts = ctypes.c_int()
    if sys.platform.startswith("linux"):
        _KERNEL.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(adopts))
    return bool(adopts.value)


def process(pid: int) -> Process:
    """Return a process that exists."""
    return Process(pid)


def tree(pid: int) -> list[Process]:
    """Return a process and all below it."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def named(processes: Iterable[Process], name: str) -> list[Process]:
    """Return those of a name."""
    return [process for process in processes if name_of(process) == name]


def name_of(process: Process) -> str:
    """Return the name of a process, nothing where it has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and not yet reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remaining(processes: Iterable[Process], within: float) -> list[Process]:
    """Wait until processes have ended, and return those that have not after so many seconds."""
    deadline = time.monotonic() + within
    return [process for process in processes if not ends(process.pid, deadline - time.monotonic())]


def ends(pid: int, within: float) -> bool:
    """Wait for the end of any process (pidfd_open(2)); tell whether it came in so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select((descriptor,), (), (), max(0.0, within))[0])
    finally:
        os.close(descriptor)


def marked(run: str) -> Iterator[Process]:
    """Yield every process of this machine that carries the marker of a run in its environment."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARKER) == run and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def private_memory(processes: Iterable[Process]) -> int:
    """Return the bytes that only these processes hold, as the kernel tells everybody (statm: resident - shared)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    return total


def processor_time(processes: Iterable[Process]) -> float:
    """Return the seconds of processor time that processes have used."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system
    return total
