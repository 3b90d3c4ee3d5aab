"""A snapshot of the processes of a running server, and whether they have ended."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """One process of the snapshot."""

    pid: int
    depth: int
    """Its depth below the server, which is at 0."""
    name: str
    rss: int
    """Resident memory in bytes; shared pages count for each process."""
    handle: psutil.Process

    @property
    def ended(self) -> bool:
        """Whether it has ended since, even if it was not reaped yet."""
        try:
            return not self.handle.is_running() or self.handle.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def process_tree(pid: int) -> list[RunningProcess]:
    """Return a process and all its descendants, parents first. Processes that end meanwhile are left out."""
    return list(_below(psutil.Process(pid), 0))


async def all_ended(processes: Sequence[RunningProcess], within: float) -> bool:
    """Wait until all these processes have ended, at most that many seconds, and return whether they have."""
    try:
        async with asyncio.timeout(within):
            # Most are not children of this process, so no signal reports their end.
            while not all(process.ended for process in processes):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return True


def _below(process: psutil.Process, depth: int) -> Iterator[RunningProcess]:
    try:
        children = process.children()
        with process.oneshot():
            yield RunningProcess(process.pid, depth, process.name(), process.memory_info().rss, process)
    except psutil.NoSuchProcess:
        return
    for child in children:
        yield from _below(child, depth + 1)
