"""Identifies a process by its creation time, since pids are reused, and finds its ancestors."""

import sys
from collections.abc import Iterator
from functools import cache

_PROCFS = sys.platform.startswith("linux")
_STATE, _PARENT, _CREATED = 0, 1, 19
"""Field indices in /proc/PID/stat, counted after the name (proc_pid_stat(5))."""
_DEAD = frozenset("ZXx")
DEEPEST = 256
"""Maximum number of ancestors that are followed."""


def created(pid: int) -> str | None:
    """Return the kernel's creation time of a process, `None` if there is no such process or it is dead.

    With the pid it identifies a process, also across reboots. It is only good for comparing.
    """
    if not _PROCFS:
        return _created_elsewhere(pid)
    fields = _stat(pid)
    return None if not fields or fields[_STATE] in _DEAD else f"{_boot()}/{fields[_CREATED]}"


def ancestors(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors, up to one without a parent, followed by 0.

    If the sequence does not end with 0, an ancestor died while it was read.
    """
    for _ in range(DEEPEST):
        yield pid
        if pid == 0:
            return
        above = _parent(pid)
        if above is None:
            return
        pid = above


def _parent(pid: int) -> int | None:
    if not _PROCFS:
        return _parent_elsewhere(pid)
    fields = _stat(pid)
    return int(fields[_PARENT]) if fields else None


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


@cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _created_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def _parent_elsewhere(pid: int) -> int | None:
    import psutil

    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return None
