"""The processes of a server at one moment, their end, and their memory."""

import contextlib
import ctypes
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import psutil
from psutil import Process

from tests.support.template import MARKER

T = TypeVar("T")

_PR_GET_CHILD_SUBREAPER = 37
_KERNEL = ctypes.CDLL(None)


def adopts_orphans() -> bool:
    """Tell whether this process adopts the orphans of its descendants (prctl(2))."""
    adopts = ctypes.c_int()
    if sys.platform.startswith("linux"):
        _KERNEL.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(adopts))
    return bool(adopts.value)


def process(pid: int) -> Process:
    """Return an existing process."""
    return Process(pid)


def tree(pid: int) -> list[Process]:
    """Return a process and all its descendants."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def named(processes: Iterable[Process], name: str) -> list[Process]:
    """Return the processes with a name that are running."""
    return [process for process in processes if name_of(process) == name]


def name_of(process: Process) -> str:
    """Return the name of a process, empty if it has ended, also while nobody has waited for it (a zombie)."""
    try:
        with process.oneshot():
            return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    except psutil.NoSuchProcess:
        return ""


def of_each(processes: Iterable[Process], read: Callable[[Process], T]) -> list[T]:
    """Return what is read of each process that has not ended meanwhile; waiting workers and watchers come and go."""
    values = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            values.append(read(process))
    return values


def listening(processes: Iterable[Process]) -> set[tuple[str, int]]:
    """Return the addresses and TCP ports at which processes listen."""
    connections = of_each(processes, lambda process: process.net_connections("tcp"))
    return {
        (one.laddr.ip, one.laddr.port) for found in connections for one in found if one.status == psutil.CONN_LISTEN
    }


def alive(pid: int) -> bool:
    """Tell whether a process is running; a zombie is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remaining(processes: Iterable[Process], within: float) -> list[Process]:
    """Wait until processes have ended, and return those that have not after this many seconds."""
    deadline = time.monotonic() + within
    return [process for process in processes if not ends(process.pid, deadline - time.monotonic())]


def ends(pid: int, within: float) -> bool:
    """Wait for the end of any process (pidfd_open(2)); tell whether it ended within this many seconds."""
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
    variable = f"{MARKER}={run}".encode()
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if variable in _environment(pid):
                yield Process(pid)


def _environment(pid: int) -> bytes:
    """Return the variables of a process as the kernel has them, none of a zombie (proc_pid_environ(5)).

    Tests look at all processes of the machine, and psutil would take ten times as long for that.
    """
    descriptor = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.readall()


def private_memory(processes: Iterable[Process]) -> int:
    """Return the private bytes of these processes, from the figures that everyone may read (statm: resident -
    shared)."""
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
