"""Kills orphaned descendants, for a process that adopts them (`greenroom.runtime.hardening.adopt_orphans`)."""

import contextlib
import os
import signal
import time
from collections.abc import Container

_PAUSE = 0.01
"""Seconds between two checks whether the heirs have ended."""


class OrphanTracker:
    """The heirs: processes that complete the work of a dead child. They are recognized by that child's session.

    A process cannot join an existing session (setsid(2)), so a process started by a command cannot pose as an heir.
    """

    def __init__(self) -> None:
        self._testators: set[int] = set()
        self._met: set[int] = set()

    def expect(self, testator: int) -> None:
        """Spare the processes that a child, which leads a session, will leave in it."""
        self._testators.add(testator)

    def newcomers(self) -> list[int]:
        """Return the heirs that were adopted since the last call."""
        present = {pid for pid in children() if pid in self}
        new, self._met = present - self._met, present
        return list(new)

    def prune(self) -> None:
        """Forget children that died without leaving heirs, because their pids may be reused."""
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
    """Return the pids of all children, including adopted ones and zombies."""
    if not os.path.isdir("/proc/self"):
        import psutil  # imported late, because the first call waits for imports

        return [process.pid for process in psutil.Process().children()]
    us = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == us]


def _parent(pid: int) -> int | None:
    """Return the parent from a line of proc(5): the second field after the name, which may contain any characters."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def terminate(pid: int) -> None:
    """Send SIGTERM to a process, if it still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Send SIGKILL to a process and to the group that it may lead. Does not wait."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGKILL)


def kill_orphans(ours: Container[int], heirs: Container[int] = ()) -> list[int]:
    """Kill every child except `ours` and `heirs`, and return their pids. Their own children are adopted as they die."""
    strangers = [pid for pid in children() if pid not in ours and pid not in heirs]
    for pid in strangers:
        kill_group(pid)
    return strangers


def end_all_children(heirs: OrphanTracker | None = None, timeout_s: float = 0.0) -> None:
    """Kill every child and reap it, and repeat this for the children that are thereby adopted, until there are none.

    The `heirs` get SIGTERM and have `patience` seconds to end, for which this waits.
    """
    if heirs is not None:
        _end_all_but(heirs)
        for pid in children():
            terminate(pid)
        _await_children(timeout_s)
    _end_all_but(())


def _end_all_but(heirs: Container[int]) -> None:
    while pids := kill_orphans((), heirs):
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _await_children(timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_PAUSE)
