"""Ends what descendants have left behind, for a process that adopts them
(`greenroom.runtime.hardening.adopt_orphans`)."""

import contextlib
import os
import signal
import time
from collections.abc import Container

_PAUSE = 0.01
"""Seconds between two looks at whether expected orphans have ended."""


class OrphanTracker:
    """The processes that finish something for a child of ours which has died: those of its session.

    Nobody can join a session (setsid(2)), so nothing that a command starts can pass for one of them.
    """

    def __init__(self) -> None:
        self._testators: set[int] = set()
        self._met: set[int] = set()

    def expect(self, testator: int) -> None:
        """Spare what a child, which leads a session, will leave there."""
        self._testators.add(testator)

    def newcomers(self) -> list[int]:
        """Return the expected processes that have become children of ours since the last time."""
        present = {pid for pid in children() if pid in self}
        new, self._met = present - self._met, present
        return list(new)

    def prune(self) -> None:
        """Forget those who have died and left nothing to us: their numbers may be given to others."""
        dead = {pid for pid in self._testators if _session(pid) != pid}
        if dead:
            self._testators -= dead - {_session(pid) for pid in children()}

    def __contains__(self, pid: object) -> bool:
        if not isinstance(pid, int):
            return False
        session = _session(pid)
        return session != pid and session in self._testators


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


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


def kill_orphans(ours: Container[int], expected: Container[int] = ()) -> list[int]:
    """Kill every child but `ours` and `expected` and return which. Their own children come to us as they die."""
    orphans = [pid for pid in children() if pid not in ours and pid not in expected]
    for pid in orphans:
        kill_group(pid)
    return orphans


def end_all_children(expected: OrphanTracker | None = None, timeout_s: float = 0.0) -> None:
    """Kill every child, wait for it, and go on with those that come to us thereby, until there are none.

    Those in `expected` are asked to end and have `timeout_s` seconds for it, while this waits.
    """
    if expected is not None:
        _end_all_but(expected)
        for pid in children():
            terminate(pid)
        _await_children(timeout_s)
    _end_all_but(())


def _end_all_but(expected: Container[int]) -> None:
    while pids := kill_orphans((), expected):
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _await_children(timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_PAUSE)
