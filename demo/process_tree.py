"""The processes of a running server as they are at one moment, and whether they have ended."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """One process when it was looked at."""

    pid: int
    depth: int
    """How far below the server it is, which itself is at 0."""
    name: str
    rss: int
    """Resident memory in bytes; pages that several processes share count in each."""
    handle: psutil.Process

    @property
    def ended(self) -> bool:
        """Whether it has ended since, be it that nobody has reaped it yet."""
        try:
            return not self.handle.is_running() or self.handle.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def process_tree(pid: int) -> list[RunningProcess]:
    """Return a process and all below it, parents before their children. One that ends meanwhile is left out."""
    return list(_below(psutil.Process(pid), 0))


async def all_ended(processes: Sequence[RunningProcess], within: float) -> bool:
    """Wait until every one of these processes has ended, and return whether they did in that many seconds."""
    try:
        async with asyncio.timeout(within):
            # Most are no children of ours, so nobody tells us of their end.
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
