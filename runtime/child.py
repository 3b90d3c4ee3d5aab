"""The one place that starts programs of our own, and knows from the kernel when they end."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    pid: int
    returncode: int
    """The exit status, or minus the number of the signal."""
    max_rss: int
    """Largest resident memory of its life, in bytes."""


def spawn(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
    """Start an isolated interpreter on one statement and return its pid.

    `inherited` maps descriptors of the child to ours. Standard input is empty, standard output goes where standard
    error goes, and the child leads a session of its own so that a terminal's signals reach only us.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
        *((os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in inherited.items()),
    ]
    argv = [sys.executable, "-I", "-c", statement]
    return os.posix_spawn(sys.executable, argv, dict(environment), file_actions=actions, setsid=True)


def watch(pid: int, on_end: Callable[[Ending], None]) -> None:
    """Call `on_end` on the running loop once our child `pid` has ended and is reaped."""
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        _watch_descriptor(loop, pid, on_end)
    else:
        threading.Thread(
            target=lambda: loop.call_soon_threadsafe(on_end, reap(pid)), daemon=True, name=f"wait-{pid}"
        ).start()


def reap(pid: int) -> Ending:
    """Wait for our child `pid` and return how it ended."""
    _, status, usage = os.wait4(pid, 0)
    return Ending(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * _RSS_UNIT)


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _watch_descriptor(loop: asyncio.AbstractEventLoop, pid: int, on_end: Callable[[Ending], None]) -> None:
    descriptor = os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        on_end(reap(pid))

    loop.add_reader(descriptor, ended)
