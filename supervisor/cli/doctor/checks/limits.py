"""Checks of the limits that the system sets: descriptors, processes, memory, inotify."""

import os
import resource
from collections.abc import Iterator
from typing import Final

from greenroom.config.tables.greenroom import server_settings
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.formatting import size

MIB: Final = 1024 * 1024
DESCRIPTORS_AT_ALL: Final = 128
"""Descriptors without which not even a few conversations work."""
DESCRIPTORS_OF_WORKER: Final = 2
"""Descriptors that the supervisor has open for each conversation with a process, as measured."""
PROCESSES_AT_ALL: Final = 32
"""Processes without which not even a few conversations work."""
PROCESSES_OF_SERVER: Final = 64
"""Processes and threads of a server beside its workers."""
MEMORY_AT_ALL: Final = 128 * MIB
"""Bytes without which no server can start."""
MEMORY_WISHED: Final = 512 * MIB
"""Bytes below which a few conversations with commands may not fit."""
ADDRESS_SPACE: Final = 4096 * MIB
"""Bytes of `RLIMIT_AS` below which interpreters with several threads fail."""
INOTIFY: Final = {"max_user_instances": 16, "max_user_watches": 8192}
"""What programs that watch files usually need."""

_UNLIMITED: Final = resource.RLIM_INFINITY


async def descriptors(context: CheckContext) -> Finding:
    """Compare the limit of open files with what the configured number of workers needs."""
    workers = await in_thread(lambda: _live_workers(context))
    soft, hard = context.machine.limit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS_AT_ALL + DESCRIPTORS_OF_WORKER * workers
    details: dict[str, Detail] = {
        "limit": f"{_count(soft)} (hard {_count(hard)})",
        "needed": f"{needed} for {workers} live workers (`greenroom.live_workers`)",
    }
    remedy = (
        f"Raise it to {needed} or more: `ulimit -n`, or `LimitNOFILE=` in the systemd unit. Or lower `live_workers`."
    )
    if soft != _UNLIMITED and soft < DESCRIPTORS_AT_ALL:
        return Finding("fail", f"only {soft} files may be open", details, remedy)
    if soft != _UNLIMITED and soft < needed:
        return Finding("warning", f"{soft} files may be open, which is too few for {workers} workers", details, remedy)
    return Finding("ok", f"{_count(soft)} files may be open", details)


async def processes(context: CheckContext) -> Finding:
    """Compare the limits of processes, of the user and of the control group, with what workers need."""
    workers = await in_thread(lambda: _live_workers(context))
    machine = context.machine
    soft, _ = machine.limit(resource.RLIMIT_NPROC)
    group = await in_thread(lambda: _group_limit(context, "pids.max"))
    details: dict[str, Detail] = {"of the user": _count(soft), "of the control group": _count(group)}
    effective = [limit for limit in (soft, group) if limit != _UNLIMITED]
    least = min(effective, default=_UNLIMITED)
    needed = workers + PROCESSES_OF_SERVER
    remedy = f"Raise it to {needed} or more: `ulimit -u`, or `TasksMax=` in the systemd unit. Or lower `live_workers`."
    if least != _UNLIMITED and least < PROCESSES_AT_ALL:
        return Finding("fail", f"only {least} processes may run", details, remedy)
    if least != _UNLIMITED and least < needed:
        return Finding("warning", f"{least} processes may run, which is too few for {workers} workers", details, remedy)
    return Finding("ok", f"{_count(least)} processes may run", details)


async def memory(context: CheckContext) -> Finding:
    """Look at the memory that is left, in the machine and in the control group, and at the limit of addresses."""
    available, group = await in_thread(lambda: (_available(context), _group_left(context)))
    addresses, _ = context.machine.limit(resource.RLIMIT_AS)
    details: dict[str, Detail] = {}
    if available is not None:
        details["available"] = size(available)
    if group is not None:
        details["left in the control group"] = size(group)
    problems: list[Problem] = []
    left = min((figure for figure in (available, group) if figure is not None), default=None)
    if left is not None and left < MEMORY_WISHED:
        remedy = "End other programs, raise `MemoryMax=` of the unit, or lower `live_workers` and `idle_workers`."
        text = f"only {size(left)}B of memory is left"
        problems.append(Problem("fail" if left < MEMORY_AT_ALL else "warning", text, remedy))
    if addresses != _UNLIMITED and addresses < ADDRESS_SPACE:
        details["address space"] = size(addresses)
        text = f"processes may have only {size(addresses)}B of addresses"
        problems.append(Problem("warning", text, "Lift the limit: `ulimit -v unlimited`, or `LimitAS=infinity`."))
    well = f"{size(left)}B is left" if left is not None else "the system does not tell how much is left"
    return combined_finding(problems, well, details)


async def inotify(context: CheckContext) -> Finding:
    """Look at the limits of inotify, for the programs that conversations and MCP servers run."""
    found = await in_thread(lambda: dict(_inotify(context)))
    if not found:
        return Finding("ok", "this system has no inotify")
    problems = [
        Problem(
            "warning",
            f"fs.inotify.{name} is {found[name]}, which is little for programs that watch files",
            f"`sysctl fs.inotify.{name}={least * 16}`.",
        )
        for name, least in INOTIFY.items()
        if name in found and found[name] < least
    ]
    details: dict[str, Detail] = {name: str(value) for name, value in found.items()}
    return combined_finding(problems, "enough for programs that watch files; Greenroom itself needs none", details)


def _live_workers(context: CheckContext) -> int:
    """Return the configured number of workers. Raises `ConfigError`."""
    return server_settings(context.home, context.config_overrides).table.live_workers


def _inotify(context: CheckContext) -> Iterator[tuple[str, int]]:
    for name in INOTIFY:
        value = _number(os.path.join(context.machine.proc, "sys", "fs", "inotify", name))
        if value is not None:
            yield name, value


def _available(context: CheckContext) -> int | None:
    """Return the memory that can be had without swapping (proc(5), MemAvailable), in bytes."""
    try:
        with open(os.path.join(context.machine.proc, "meminfo"), encoding="ascii") as file:
            found = [line.split()[1] for line in file if line.startswith("MemAvailable:")]
        return int(found[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _group_left(context: CheckContext) -> int | None:
    """Return the memory that the tightest control group above this process has left, in bytes."""
    left = []
    for group in _groups(context):
        most, used = (_number(os.path.join(group, name)) for name in ("memory.max", "memory.current"))
        if most is not None and used is not None:
            left.append(max(0, most - used))
    return min(left, default=None)


def _group_limit(context: CheckContext, name: str) -> int:
    limits = (_number(os.path.join(group, name)) for group in _groups(context))
    return min((limit for limit in limits if limit is not None), default=_UNLIMITED)


def _groups(context: CheckContext) -> Iterator[str]:
    """Yield the directories of the control groups of this process (cgroups(7), version 2), the innermost first."""
    try:
        with open(os.path.join(context.machine.proc, "self", "cgroup"), encoding="utf-8") as file:
            entries = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    path = next((entry[2] for entry in entries if len(entry) == 3 and entry[0] == "0"), None)
    while path is not None:
        yield os.path.join(context.machine.cgroups, path.lstrip("/"))
        path = os.path.dirname(path) if path.strip("/") else None


def _number(path: str) -> int | None:
    """Return the number in a file of the kernel; `None` where there is none, or `max`."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return None


def _count(limit: int) -> str:
    return "unlimited" if limit == _UNLIMITED else str(limit)
