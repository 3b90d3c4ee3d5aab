"""Finds the processes of commands among those of an instance, and the workers that they work for. Free of I/O.

Commands of all conversations are below one zygote. The monitor of a command has the pid of the command's worker in its
name (`greenroom.workers.sandbox.monitor`), which the kernel has told it. Names count only of children of the zygote:
further down, processes may call themselves what they like.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from greenroom.protocol.report import Role
from greenroom.supervisor.cli.status.seen_process import SeenProcess

WAITING: Final = "gr-monitor"
"""The name of a monitor that waits for a command."""
AT_WORK: Final = "gr-mon "
"""The beginning of the name of one that has a command; the pid of the worker follows."""
ZYGOTE: Final = "gr-zygote"


class FoundCommand(NamedTuple):
    """A process of a command."""

    seen: SeenProcess
    parent: int
    """Pid of the process that it is shown below: such a one, or one of the instance's own."""
    worker: int | None
    """Pid of the worker that it works for."""


class FoundCommands:
    """The processes of an instance that are not its own."""

    def __init__(self) -> None:
        self.found: list[FoundCommand] = []
        """Parents before children."""
        self._below: Counter[int] = Counter()
        self._of_workers: dict[int, list[SeenProcess]] = {}
        self._cpu: dict[int, float] = {}

    def of_worker(self, pid: int) -> list[SeenProcess]:
        """Return the processes that work for a worker."""
        return self._of_workers.get(pid, [])

    def count_below(self, pid: int) -> int:
        """Return how many are below a process of the instance, and below no other one."""
        return self._below[pid]

    def cpu_percent(self, worker: int) -> float | None:
        """Return the share of one processor that what works for a worker has had; `None` where it is not known."""
        used = self._cpu.get(worker)
        return None if used is None else round(used, 1)

    def add(self, one: FoundCommand, owner: int) -> None:
        """Add a process below `owner`, one of the instance."""
        self.found.append(one)
        self._below[owner] += 1
        if one.worker is not None:
            self._of_workers.setdefault(one.worker, []).append(one.seen)

    def add_cpu(self, worker: int, percent: float | None) -> None:
        """Add what was used for a worker."""
        if percent is not None:
            self._cpu[worker] = self._cpu.get(worker, 0.0) + percent


class _Place(NamedTuple):
    """Where what is below a process belongs."""

    owner: int
    """The next process of the instance."""
    shown: int
    """The next process that is shown."""
    worker: int | None
    is_zygote: bool = False
    is_waiting: bool = False
    """Whether it is a monitor without a command: what is below it waits for one."""


def find_commands(seen: Iterable[SeenProcess], roles: Mapping[int, Role]) -> FoundCommands:
    """Find them; `seen` has parents before children, and `roles` the pids of the instance's own."""
    commands, places = FoundCommands(), dict[int, _Place]()
    for one in seen:
        above = places.get(one.parent)
        role = roles.get(one.pid)
        if role is not None:
            places[one.pid] = _own_place(one.pid, role, above)
            if role == "worker":
                commands.add_cpu(one.pid, one.below_cpu_percent)
        elif above is not None:
            places[one.pid] = _place(one, above, roles, commands)
    return commands


def _own_place(pid: int, role: Role, above: _Place | None) -> _Place:
    worker = pid if role == "worker" else above.worker if above is not None and role == "zygote" else None
    return _Place(pid, pid, worker, is_zygote=role == "zygote")


def _place(one: SeenProcess, above: _Place, roles: Mapping[int, Role], commands: FoundCommands) -> _Place:
    if above.is_waiting or (above.is_zygote and one.name == WAITING):
        return above._replace(is_zygote=False, is_waiting=True)
    if one.name == ZYGOTE and roles.get(one.parent) == "worker":  # one that its worker has not told of yet
        return above._replace(is_zygote=True)
    worker = _worker_of(one.name) if above.is_zygote else None
    if worker is not None:
        if above.worker is None:  # else it is below its worker, and counted there
            commands.add_cpu(worker, one.below_cpu_percent)
        return above._replace(worker=worker, is_zygote=False)
    commands.add(FoundCommand(one, above.shown, above.worker), above.owner)
    return above._replace(shown=one.pid, is_zygote=False)


def _worker_of(name: str) -> int | None:
    number = name.removeprefix(AT_WORK)
    return int(number) if name.startswith(AT_WORK) and number.isdecimal() and number.isascii() else None
