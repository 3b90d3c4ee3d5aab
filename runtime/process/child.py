"""Tells whether a process has ended, and when a child has, and how, by pidfd_open(2) where the system has it."""

import asyncio
import os
import resource  # noqa: F401 - os.wait4 imports it otherwise, once in each process
import select
import signal
import sys
import threading
from collections.abc import Callable

import msgspec


class ChildExit(msgspec.Struct, frozen=True):
    """How a child ended."""

    pid: int
    returncode: int
    """The exit status, or minus the number of the signal."""
    max_rss: int
    """Largest resident memory of its life, in bytes."""


def watch(pid: int, on_end: Callable[[ChildExit], None]) -> None:
    """Reap the child `pid` when it ends, and then call `on_end` on the running loop.

    Raises `ChildProcessError` if it is not a child of this process, on systems with pidfd_open(2).
    """
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        _watch_descriptor(loop, pid, on_end)
    else:
        threading.Thread(
            target=lambda: loop.call_soon_threadsafe(on_end, reap(pid)), daemon=True, name=f"wait-{pid}"
        ).start()


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, which it has also where nobody has reaped it; `False` where that is unknown."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(0))
    finally:
        os.close(descriptor)


def reap(pid: int) -> ChildExit:
    """Wait for the child `pid`, and return how it ended."""
    _, status, usage = os.wait4(pid, 0)
    return ChildExit(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * _RSS_UNIT)


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _watch_descriptor(loop: asyncio.AbstractEventLoop, pid: int, on_end: Callable[[ChildExit], None]) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ChildProcessError(f"there is no process {pid}") from None
    try:
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        os.close(descriptor)
        raise

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        try:
            ending = reap(pid)
        except ChildProcessError:  # reaped already, by `orphans.end_all_children`
            ending = ChildExit(pid, -signal.SIGKILL, 0)
        on_end(ending)

    loop.add_reader(descriptor, ended)
