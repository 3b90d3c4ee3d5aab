"""The resources of a server at rest: processes, threads, descriptors, memory and files."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.client import SubjectError
from greenroom.protocol.report import Report, Role
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control_messages import GiveReport, Reported

TIMEOUT: Final = 30.0
"""Seconds for a server to come to rest."""
_PAUSE: Final = 0.2
_OURS: Final = ("gr-forkserver", "gr-broker", "gr-worker", "gr-zygote")
_KEPT: Final = ("sessions", "log")
"""Directories of a home whose files are permanent."""


class UnsettledError(SubjectError):
    """The server did not come to rest."""


@dataclass(frozen=True, slots=True)
class Resources:
    """One measurement of a server at rest."""

    conversations: int
    processes: Mapping[str, int]
    """Number of processes by name; the supervisor is called that."""
    threads: Mapping[str, int]
    descriptors: Mapping[str, int]
    """By role, the largest number in one process."""
    memory: Mapping[str, int]
    """By role, the largest private memory of a process, in bytes."""
    files: int
    """In the home, except sessions and the log; in the runtime directory; and in the workspace."""


def at_rest(pid: int, environment: Mapping[str, str], places: tuple[str, ...], idle_workers: int) -> Resources:
    """Wait until no conversation has a process, and measure. `places` are directories besides the runtime directory.

    Raises `UnsettledError`.
    """
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        current = report(pid, environment)
        if current is not None and _is_at_rest(current, idle_workers):
            return _look(pid, current, (*places, *_runtime_directories(pid, environment)))
        time.sleep(_PAUSE)
    raise UnsettledError(f"server {pid} has not come to rest within {TIMEOUT:.0f} s")


def victims(pid: int, environment: Mapping[str, str], role: Role) -> list[int]:
    """Return the processes of a role; of workers only those that host a conversation."""
    current = report(pid, environment)
    entries = current.processes if current is not None else ()
    return [
        entry.pid
        for entry in entries
        if entry.role == role and entry.pid is not None and (role != "worker" or entry.conversation_id is not None)
    ]


def report(pid: int, environment: Mapping[str, str]) -> Report | None:
    """Return the server's report, `None` if it does not answer."""
    for instance in instances.running(instances.parents(environment)):
        if instance.instance.pid == pid:
            reply = ask([instance.control], GiveReport())[instance.control].reply
            return Report.model_validate_json(bytes(reply.report)) if isinstance(reply, Reported) else None
    return None


def _runtime_directories(pid: int, environment: Mapping[str, str]) -> list[str]:
    running = instances.running(instances.parents(environment))
    return [instance.directory for instance in running if instance.instance.pid == pid]


def _is_at_rest(report: Report, idle_workers: int) -> bool:
    table, pool = report.statistics.conversations, report.statistics.pool
    helpers = [entry for entry in report.processes if entry.role != "worker"]
    return (
        table is not None
        and pool is not None
        and table.with_process == table.turns_waiting == 0
        and (pool.waiting, pool.expected, pool.orders) == (idle_workers, 0, 0)
        and all(entry.state == "ready" for entry in helpers)
        and all(entry.own is not None or entry.role == "zygote" for entry in report.processes)
    )


def _look(pid: int, report: Report, places: tuple[str, ...]) -> Resources:
    table = report.statistics.conversations
    processes, threads = _count(pid)
    descriptors: dict[str, int] = {}
    memory: dict[str, int] = {}
    for entry in report.processes:
        if entry.own is not None:
            descriptors[entry.role] = max(descriptors.get(entry.role, 0), entry.own.descriptors or 0)
            memory[entry.role] = max(memory.get(entry.role, 0), entry.own.uss or 0)
    files = sum(1 for place in places for _ in _files(place))
    return Resources(table.known if table else 0, processes, threads, descriptors, memory, files)


def _count(pid: int) -> tuple[Counter[str], Counter[str]]:
    """Return the number of processes and threads by name; other programs count as strangers."""
    processes: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        name = "supervisor" if process == root else process.name()
        known = name if name in ("supervisor", *_OURS) else "stranger"
        processes[known] += 1
        threads[known] += process.num_threads()
    return processes, threads


def _files(place: str) -> Iterator[str]:
    for directory, directories, names in os.walk(place):
        if directory == place:
            directories[:] = [name for name in directories if name not in _KEPT]
        yield from (os.path.join(directory, name) for name in names)
