"""The resource use of a program's processes, and which of them are workers."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psutil

FORK_SERVER: Final = "gr-forkserver"
BROKER: Final = "broker"
_CPUCLOCK_SCHED: Final = 2
"""With the inverted pid above it, the id of a process's CPU clock, as from clock_getcpuclockid(3)."""
_PRIVATE: Final = (b"Private_Clean:", b"Private_Dirty:")


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, including children that have ended and been reaped."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += _own_seconds(process.pid, times.user + times.system) + times.children_user + times.children_system
    return total


def cpu_by_role(pid: int) -> dict[str, float]:
    """Return the seconds that a process and its descendants have used, for each name of a process and of a thread.

    The main thread has the name of its process. What has ended is `… ended`: threads, and children that were reaped.
    """
    total: dict[str, float] = defaultdict(float)
    for process in tree(pid):
        role = "root" if process.pid == pid else _name(process)
        try:
            times = process.cpu_times()
            threads = dict(_threads(process.pid))
        except (psutil.NoSuchProcess, OSError):
            continue
        for (thread, name), seconds in threads.items():
            total[role if thread == process.pid else f"{role} / {name}"] += seconds
        own = _own_seconds(process.pid, times.user + times.system)
        total[f"{role} ended"] += max(0.0, own - sum(threads.values())) + times.children_user + times.children_system
    return dict(total)


def private_bytes(pid: int) -> int | None:
    """Return the private memory of a process, or `None` if it may not be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith(_PRIVATE))
    except FileNotFoundError:
        return _unique_bytes(pid)
    except PermissionError:
        return None


def shared_bytes(pid: int) -> int | None:
    """Return the memory of a process and its descendants, with what they share counted once (PSS).

    `None` where it may not be read.
    """
    total = 0
    for process in tree(pid):
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", "rb") as rollup:
                total += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith(b"Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            return None
    return total


def workers(pid: int) -> list[psutil.Process]:
    """Return Greenroom's workers: the children of the fork server, except the broker and orphaned commands."""
    fork_servers = [process for process in psutil.Process(pid).children() if _name(process) == FORK_SERVER]
    return [process for fork_server in fork_servers for process in fork_server.children() if _is_fork(process)]


def worker_of_command(pid: int, server: int) -> psutil.Process:
    """Return the worker that started a command's parent `pid`: that process, or its ancestor among the workers."""
    known = {worker.pid: worker for worker in workers(server)}
    process = psutil.Process(pid)
    for candidate in (process, *process.parents()):
        if candidate.pid in known:
            return candidate
    raise LookupError(f"process {pid} belongs to no worker of {server}")


def _own_seconds(pid: int, ticks: float) -> float:
    """Return a process's CPU time in nanoseconds, because ticks of 10 ms are too coarse for idle processes."""
    if not sys.platform.startswith("linux"):
        return ticks
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        return ticks


def _threads(pid: int) -> Iterator[tuple[tuple[int, str], float]]:
    """Yield the number and name of each thread of a process, with the seconds that it has run."""
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        place = f"/proc/{pid}/task/{thread}"
        with suppress(FileNotFoundError, ProcessLookupError):
            with open(f"{place}/comm", encoding="utf-8", errors="replace") as name:
                told = name.read().strip()
            with open(f"{place}/schedstat", encoding="ascii") as times:
                yield (thread, told), int(times.read().split()[0]) / 1e9


def _unique_bytes(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except psutil.Error:
        return None


def _name(process: psutil.Process) -> str:
    """Return the name of a process, empty if it has ended."""
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _is_fork(process: psutil.Process) -> bool:
    """Distinguish workers from orphaned commands, which the fork server adopts: a forked process keeps the fork
    server's command line."""
    try:
        parent = process.parent()
        return parent is not None and BROKER not in _name(process) and process.cmdline() == parent.cmdline()
    except psutil.NoSuchProcess:
        return False
