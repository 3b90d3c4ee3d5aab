"""Direct children of the supervisor: spawning, the report of their ends, and the orphans that they leave."""

import contextlib
from collections.abc import Callable

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import AnyProcessSpec, Exited, Spawn, datagram
from greenroom.runtime.process import child
from greenroom.runtime.process.launch import Launched
from greenroom.runtime.process.orphans import OrphanTracker, kill_orphans

CLOSING_TIME = 1.0
"""Seconds that processes have to exit before they are killed."""


def start_spawned(spawn: Callable[[], Launched], spec: AnyProcessSpec) -> int:
    """Start a fresh interpreter, send it its spec and return its pid. Raises `OSError`."""
    launched = spawn()
    with contextlib.closing(launched.control):
        launched.control.send(datagram(Spawn(spec=spec)))
    return launched.pid


def exited_of(worker_id: WorkerId, ending: child.ChildExit) -> Exited:
    """Return the end of a child under its worker's id."""
    return Exited(id=worker_id, pid=ending.pid, returncode=ending.returncode, max_rss=ending.max_rss)


def start_error(spec: AnyProcessSpec, why: str) -> Exited:
    """Report a process that could not be started as one that ended."""
    return Exited(id=spec.id, pid=0, returncode=1, max_rss=0, start_error=why)


def reap_orphans(spared: set[int], expected: OrphanTracker, on_end: Callable[[], None]) -> None:
    """Kill and reap the orphans of a dead process, except those in `expected`.

    `on_end` is called as each of them ends, expected ones included: their own children become orphans in turn.
    """
    expected.prune()
    for pid in (*kill_orphans(spared, expected), *expected.newcomers()):
        with contextlib.suppress(ChildProcessError):
            child.watch(pid, lambda _: on_end())
