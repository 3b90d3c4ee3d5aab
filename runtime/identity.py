"""What tells a process from every other that has had its pid or will: when it was created. And who its parent is."""

import sys
from collections.abc import Iterator
from functools import cache

_PROCFS = sys.platform.startswith("linux")
_STATE, _PARENT, _CREATED = 0, 1, 19
"""Places in /proc/PID/stat, counted after the name (proc_pid_stat(5))."""
_DEAD = frozenset("ZXx")
DEEPEST = 256
"""Generations that are followed upwards."""


def created(pid: int) -> str | None:
    """Return the kernel's record of when a process was created, `None` where there is no such process or it is dead.

    With the pid it names one process for good, also across reboots. It means nothing but equality.
    """
    if not _PROCFS:
        return _created_elsewhere(pid)
    fields = _stat(pid)
    return None if not fields or fields[_STATE] in _DEAD else f"{_boot()}/{fields[_CREATED]}"


def ancestors(pid: int) -> Iterator[int]:
    """Yield a process and those it descends from, up to one without a parent: 0 then ends the line.

    A line that does not end in 0 is broken: somebody in it died while we looked.
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
