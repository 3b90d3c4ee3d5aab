"""Records every process group that commands of this conversation started, so that none outlives it.

The kernel reuses a group's number once its last process is reaped. While the leader is not reaped the number is certain
to be the command's. After that, a process whose pid is the number proves that the kernel has reused it.
"""

import contextlib
import os
import signal

import msgspec


class GroupStatistics(msgspec.Struct, frozen=True):
    """Counts at one moment."""

    running: int
    """Groups whose leader, the command itself, is alive."""
    left_behind: int
    """Groups whose leader has ended while others of the group have not."""


class ProcessGroups:
    """The process groups of one conversation."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._left_behind: set[int] = set()

    def add(self, group: int) -> None:
        """Record a group whose leader has just started."""
        self._running.add(group)
        self._left_behind.discard(group)

    def release(self, group: int) -> None:
        """Note that the leader has ended and is reaped. The group stays recorded while a process of it is alive."""
        self._running.discard(group)
        self._left_behind.add(group)
        self._left_behind = {other for other in self._left_behind if _has_members(other)}

    def send(self, group: int, number: signal.Signals) -> None:
        """Send a signal to everything in a recorded group."""
        if group in self._running or (group in self._left_behind and not _exists(group)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)

    def kill(self, group: int) -> None:
        """Kill everything in a recorded group. Does not wait for the deaths."""
        self.send(group, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill all that commands left behind or that still runs. Does not wait for the deaths."""
        for group in self._running | self._left_behind:
            self.kill(group)
        self._left_behind.clear()

    def statistics(self) -> GroupStatistics:
        """Return the counts."""
        return GroupStatistics(len(self._running), len(self._left_behind))


def _has_members(group: int) -> bool:
    _bury_adopted(group)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _bury_adopted(group: int) -> None:
    """Reap the zombies of a group. They are children of this process only if it is a subreaper."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG) != (0, 0):
            pass


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
