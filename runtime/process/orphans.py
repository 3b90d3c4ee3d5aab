"""Ends orphaned descendants, for a process that adopts them (`greenroom.runtime.process.hardening.adopt_orphans`)."""

import contextlib
import os
import signal
import time
from collections.abc import Container

_PAUSE = 0.01
"""Seconds between two checks whether expected orphans have ended."""


_own: set[int] = set()


def keep(pid: int) -> None:
    """Note a child that this process has started itself, so that it is no orphan until it has ended (`let_go`)."""
    _own.add(pid)


def let_go(pid: int) -> None:
    """Note the end of such a child."""
    _own.discard(pid)


class OrphanTracker:
    """Orphans that may finish their work after the child that started them has died: those of its session.

    No process can join an existing session (setsid(2)), so a command cannot pass for one of them.
    """

    def __init__(self) -> None:
        self._leaders: set[int] = set()
        self._met: set[int] = set()

    def expect(self, leader: int) -> None:
        """Spare the processes of the session that the child `leader` leads."""
        self._leaders.add(leader)

    def newcomers(self) -> list[int]:
        """Return the expected orphans that were adopted since the last call."""
        present = {pid for pid in children() if pid in self}
        new, self._met = present - self._met, present
        return list(new)

    def prune(self) -> None:
        """Forget sessions whose leader is dead and that have no process left, since pids are reused."""
        dead = {pid for pid in self._leaders if _session(pid) != pid}
        if dead:
            self._leaders -= dead - {_session(pid) for pid in children()}

    def __contains__(self, pid: object) -> bool:
        if not isinstance(pid, int):
            return False
        session = _session(pid)
        return session != pid and session in self._leaders


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def children() -> list[int]:
    """Return the pids of all children of this process, including adopted ones and zombies."""
    if not os.path.isdir("/proc/self"):
        import psutil  # imported only when needed: the first call waits for imports

        return [process.pid for process in psutil.Process().children()]
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN:
        with contextlib.suppress(OSError):  # no such list in this kernel, or a thread has ended meanwhile
            return _listed_children()
    own = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == own]


def _listed_children() -> list[int]:
    """Return what the kernel lists, whose length does not depend on the processes of others.

    The list may lack a child while another one is reaped (proc(5)), so it does not serve where the kernel reaps them.
    """
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children", "rb") as file:
            found += map(int, file.read().split())
    return found


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


def kill_orphans(kept: Container[int], expected: Container[int] = ()) -> list[int]:
    """Kill every child except `kept`, `expected` and those noted by `keep`, and return the pids.

    Their children are adopted as they die.
    """
    orphans = [pid for pid in children() if pid not in kept and pid not in expected and pid not in _own]
    for pid in orphans:
        kill_group(pid)
    return orphans


def end_all_children(expected: OrphanTracker | None = None, timeout_s: float = 0.0) -> None:
    """Kill every child, wait for it, and repeat for the orphans adopted by that, until there are none. Blocks.

    Those in `expected` get SIGTERM and have `timeout_s` seconds to end.
    """
    _own.clear()
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
