"""The kernel's view of an instance's processes, read with psutil, whether they answer or not.

The processes are undumpable (`greenroom.runtime.process.hardening`), so private memory and descriptors are shown to
privileged users only. What may not be read is left out.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import psutil

from greenroom.supervisor.cli.status.seen_process import SeenProcess

_Key = tuple[int, float]
"""Pid and time of creation."""
_OWN: Final = "gr-"
"""The beginning of the names that Greenroom's processes give themselves."""


class _Sample(NamedTuple):
    at: float
    """By the monotonic clock."""
    cpu: float
    """Seconds of processor time so far."""
    below: float
    """Seconds that the processes below it have used, the ended ones included that were waited for."""


class _Reading(NamedTuple):
    """A process as it was read, with what it is to be compared with."""

    seen: SeenProcess
    key: _Key
    at: float
    reaped: float
    """Processor time of its children that have ended and were waited for, and of theirs."""


class ProcessSampler:
    """Samples processes repeatedly; from its second sample on it knows their use of the processor in between."""

    SHORTEST: Final = 0.05
    """Seconds between two samples below which a share of the processor would mean nothing."""

    def __init__(self, *, is_brief: bool = False, tells_commands: bool = False) -> None:
        """`is_brief`: private memory and descriptors are left out, which cost the most to read.

        `tells_commands`: command lines are read, but for those of Greenroom's processes.
        """
        self._is_brief, self._tells_commands = is_brief, tells_commands
        self._samples: dict[_Key, _Sample] = {}

    def look(self, roots: Collection[int]) -> dict[int, list[SeenProcess]]:
        """Return the processes of each root, itself first and parents before children; none of a dead root."""
        everyone = {process.pid: process for process in psutil.process_iter()}
        children = _children(everyone.values())
        samples: dict[_Key, _Sample] = {}
        seen = {}
        for root in roots:
            found = [self._read(everyone.get(pid)) for pid in _below(root, children)]
            seen[root] = self._compare([reading for reading in found if reading is not None], samples)
        self._samples = samples
        return seen

    def _read(self, process: psutil.Process | None) -> _Reading | None:
        if process is None:
            return None
        try:
            with process.oneshot():
                times, name, created_at = process.cpu_times(), process.name(), process.create_time()
                private = (None, None) if self._is_brief else _private_memory(process)
                seen = SeenProcess(
                    pid=process.pid,
                    parent=process.ppid(),
                    name=name,
                    state=process.status(),
                    created_at=created_at,
                    rss=process.memory_info().rss,
                    uss=private[0],
                    pss=private[1],
                    cpu_seconds=times.user + times.system,
                    cpu_percent=None,
                    threads=process.num_threads(),
                    descriptors=None if self._is_brief else _descriptors(process),
                    command=_command(process) if self._tells_commands and not name.startswith(_OWN) else (),
                )
                return _Reading(seen, (process.pid, created_at), time.monotonic(), _reaped(times))
        except psutil.Error:
            return None

    def _compare(self, readings: Sequence[_Reading], samples: dict[_Key, _Sample]) -> list[SeenProcess]:
        """Return processes of one root with what they have used since the last look; note it in `samples`."""
        below = _below_each(readings)
        root = self._samples.get(readings[0].key) if readings else None
        compared = []
        for seen, key, at, _ in readings:
            now = samples[key] = _Sample(at, seen.cpu_seconds, below[seen.pid])
            new = None if root is None else _Sample(root.at, 0.0, 0.0)  # it has begun since then
            before = self._samples.get(key, new)
            if before is None or at - before.at < self.SHORTEST:
                compared.append(seen)
                continue
            share = {
                "cpu_percent": _percent(now.cpu - before.cpu, at - before.at),
                "below_cpu_percent": _percent(now.below - before.below, at - before.at),
            }
            compared.append(seen.model_copy(update=share))
        return compared


def _percent(used: float, seconds: float) -> float:
    return round(100 * max(0.0, used) / seconds, 1)


def _below_each(readings: Sequence[_Reading]) -> dict[int, float]:
    """Return by pid the seconds that the processes below each have used; `readings` has parents before children."""
    below = {reading.seen.pid: reading.reaped for reading in readings}
    for reading in reversed(readings):
        seen = reading.seen
        if seen.parent in below:
            below[seen.parent] += seen.cpu_seconds + below[seen.pid]
    return below


def _reaped(times: object) -> float:
    """Return the processor time of children that were waited for; 0 where the system does not tell."""
    user, system = getattr(times, "children_user", 0.0), getattr(times, "children_system", 0.0)
    return float(user + system)


def _command(process: psutil.Process) -> tuple[str, ...]:
    try:
        return tuple(process.cmdline())
    except psutil.Error:
        return ()


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
