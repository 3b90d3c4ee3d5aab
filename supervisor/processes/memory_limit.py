"""The memory limit of workers: their resident memory as seen from outside, and what exceeds the limit."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from itertools import islice

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import WorkerId

INTERVAL = 30.0
"""Seconds between two rounds: a worker that fills its memory between turns is detected this late."""
BATCH = 64
"""Workers that are checked in one go, some 10 µs each, before other callbacks of the loop run."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryWatchdog:
    """Checks all workers in rounds, while there are any; call `begin` when there is one."""

    def __init__(
        self,
        workers: Collection[WorkerId],
        pid_of: Callable[[WorkerId], int | None],
        limits: Limits,
        on_excess: Callable[[WorkerId, str], None],
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_excess` is called with each worker over the limit, and why; `on_round` when a round begins."""
        self._on_round = on_round
        self._workers = workers
        self._pid_of = pid_of
        self._limits = limits
        self._on_excess = on_excess
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether the next round is scheduled."""
        return self._timer is not None

    def begin(self) -> None:
        """Make rounds from now on, unless it is running already."""
        if not self.is_running:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._go)

    def close(self) -> None:
        """Stop the rounds."""
        if self._timer is not None:
            self._timer.cancel()

    def _go(self) -> None:
        self._on_round()
        self._look_at(iter(list(self._workers)))

    def _look_at(self, rest: Iterator[WorkerId]) -> None:
        batch = list(islice(rest, BATCH))
        for worker_id in batch:
            pid = self._pid_of(worker_id)
            why = None if pid is None else excess(pid, self._limits)
            if why is not None:
                self._on_excess(worker_id, why)
        self._timer = None
        if batch:
            self._timer = asyncio.get_running_loop().call_later(0, self._look_at, rest)
        elif self._workers:
            self.begin()


def excess(pid: int, limits: Limits) -> str | None:
    """Return a text that says that a process holds too much, `None` where it does not."""
    memory = resident_memory(pid)
    if memory <= limits.worker_memory:
        return None
    return f"over its memory limit: {memory >> 20} MiB of {limits.worker_memory >> 20} MiB"


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 where it is unknown.

    Read from procfs, which shows this value of undumpable processes too; elsewhere through psutil.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        return 0 if os.path.isdir("/proc/self") else _resident_memory_elsewhere(pid)
    except OSError:
        return 0


def _resident_memory_elsewhere(pid: int) -> int:
    import psutil

    try:
        memory: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
    return memory
