"""The kernel's view of an instance's processes, read with psutil, whether they answer or not.

The processes are undumpable (`greenroom.runtime.hardening`), so private memory and descriptors are shown to privileged
users only. What may not be read is left out.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

import psutil

from greenroom.supervisor.cli.status.overview import SeenProcess

_Key = tuple[int, float]
"""Pid and time of creation."""


class _Sample(NamedTuple):
    at: float
    """By the monotonic clock."""
    cpu: float
    """Seconds of processor time so far."""


class ProcessSampler:
    """Samples processes repeatedly; from its second sample on it knows their use of the processor in between."""

    SHORTEST: Final = 0.05
    """Seconds between two samples below which a share of the processor would mean nothing."""

    def __init__(self, *, is_brief: bool = False) -> None:
        """`is_brief`: private memory and descriptors are left out, which cost the most to read."""
        self._is_brief = is_brief
        self._samples: dict[_Key, _Sample] = {}

    def look(self, roots: Collection[int]) -> dict[int, list[SeenProcess]]:
        """Return the processes of each root, itself first and parents before children; none of a dead root."""
        everyone = {process.pid: process for process in psutil.process_iter()}
        children = _children(everyone.values())
        samples: dict[_Key, _Sample] = {}
        seen = {
            root: [one for pid in _below(root, children) if (one := self._see(everyone.get(pid), samples)) is not None]
            for root in roots
        }
        self._samples = samples
        return seen

    def _see(self, process: psutil.Process | None, samples: dict[_Key, _Sample]) -> SeenProcess | None:
        if process is None:
            return None
        try:
            with process.oneshot():
                times, key = process.cpu_times(), (process.pid, process.create_time())
                sample = samples[key] = _Sample(time.monotonic(), times.user + times.system)
                private = (None, None) if self._is_brief else _private_memory(process)
                return SeenProcess(
                    pid=process.pid,
                    parent=process.ppid(),
                    name=process.name(),
                    state=process.status(),
                    created_at=process.create_time(),
                    rss=process.memory_info().rss,
                    uss=private[0],
                    pss=private[1],
                    cpu_seconds=sample.cpu,
                    cpu_percent=self._percent(key, sample),
                    threads=process.num_threads(),
                    descriptors=None if self._is_brief else _descriptors(process),
                )
        except psutil.Error:
            return None

    def _percent(self, key: _Key, sample: _Sample) -> float | None:
        before = self._samples.get(key)
        if before is None or sample.at - before.at < self.SHORTEST:
            return None
        return round(100 * max(0.0, sample.cpu - before.cpu) / (sample.at - before.at), 1)


def _children(processes: Iterable[psutil.Process]) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for process in processes:
        try:
            found[process.ppid()].append(process.pid)
        except psutil.Error:
            continue
    return found


def _below(root: int, children: dict[int, list[int]]) -> Iterator[int]:
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += sorted(children.get(pid, ()), reverse=True)


def _private_memory(process: psutil.Process) -> tuple[int | None, int | None]:
    """Return USS and PSS in bytes."""
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return None, None
    return full.uss, getattr(full, "pss", None)


def _descriptors(process: psutil.Process) -> int | None:
    try:
        return process.num_fds()
    except psutil.Error:
        return None
