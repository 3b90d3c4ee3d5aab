"""Ends what descendants have left behind, for a process that adopts them (`runtime.hardening.adopt_orphans`)."""

import contextlib
import os
import signal
from collections.abc import Container


def children() -> list[int]:
    """Return the pids of all our children, adopted ones and zombies included."""
    if not os.path.isdir("/proc/self"):
        import psutil  # not before it is needed: what a first call waits for is imports

        return [process.pid for process in psutil.Process().children()]
    us = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == us]


def _parent(pid: int) -> int | None:
    """Return the parent as proc(5) has it: the second field behind the name, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def terminate(pid: int) -> None:
    """Send SIGTERM to a process, if there still is one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Send SIGKILL to a process and to the group that it may lead. Does not wait for it."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGKILL)


def kill_strangers(ours: Container[int]) -> list[int]:
    """Kill every child but `ours` and return which. Their own children come to us as they die."""
    strangers = [pid for pid in children() if pid not in ours]
    for pid in strangers:
        kill_group(pid)
    return strangers


def end_all_children() -> None:
    """Kill every child, wait for it, and go on with those that come to us thereby, until there are none."""
    while pids := kill_strangers(()):
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
