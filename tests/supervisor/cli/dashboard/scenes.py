"""Instances that dashboards of tests show, made of the structs that real ones report."""

import math
import random
from collections.abc import Sequence
from typing import Any, Final

from greenroom.protocol.instance import Instance
from greenroom.protocol.report import ConversationEntry, ProcessEntry, Report
from greenroom.supervisor.cli.status.control_client import ControlResponse
from greenroom.supervisor.cli.status.overview import InstanceStatus, Overview
from greenroom.supervisor.cli.status.seen_process import SeenProcess
from greenroom.supervisor.control.instances import RunningInstance
from tests.supervisor.cli.status.sights import NOW, process, report, sight, view

MIB: Final = 1 << 20
MOST: Final = 200
"""Conversations of one instance, as many as a report lists."""
TITLES: Final = (
    "Mend the flaky test of the scheduler",
    "Port the importer to the new schema",
    "Explain why the build takes nine minutes",
    "Add pagination to the orders endpoint",
    "Review the change to session locking",
    "Write release notes for 2.4",
    "Find what leaks descriptors in the worker pool",
    "Rename Account to Customer everywhere",
    "Measure start-up with and without the cache",
    "Translate the error messages to German",
)
DOING: Final = (
    "waiting for the model",
    "running the tool shell: make test",
    "reading the answer",
    "running the tool apply_patch",
    "calling jira.search_issues",
)
DIRECTORIES: Final = ("~/src/orders", "~/src/importer", "/srv/build", "~/notes", "~/src/scheduler")
STATES: Final = ("running", "running", "idle", "running", "parked", "idle", "parked", "running", "idle", "parked")
PACES: Final = (
    {"key": "3f2a91c07be4", "interval": 2.4, "waiting": 6, "hold": 14.0, "quiet_for": 9.0, "refusals": 11},
    {"key": "b81d0c55e2fa", "interval": 0.18, "waiting": 0, "hold": 0.0, "quiet_for": 74.0, "refusals": 2},
)
NODES: Final = (
    {
        "name": "build-7",
        "state": "ready",
        "capacity": 100,
        "workers": 38,
        "version": "0.1.0",
        "round_trip": 0.0021,
        "heard_ago": 0.4,
        "memory": 2300 * MIB,
        "free_memory": 48_000 * MIB,
        "load": 0.42,
    },
    {"name": "attic", "state": "away", "capacity": 20, "workers": 3, "heard_ago": 12.0},
)
CLIENTS: Final = (
    {
        "name": "claude-code",
        "version": "2.1.3",
        "id": "client-4711-1",
        "pid": 4711,
        "connected_at": NOW - 5000,
        "open_calls": 3,
    },
    {"name": "agents-sdk", "version": "0.9", "id": "client-4890-2", "pid": 4890, "connected_at": NOW - 120},
)


def conversation_id(number: int) -> str:
    """Return the id of a conversation."""
    return f"01a20312-0577-77d3-9bb9-{(number + 1) * 0x2F0A6D3B1C95 % (1 << 48):012x}"


def entry(number: int, pid: int | None, **more: Any) -> ConversationEntry:
    """Make the entry of a conversation."""
    state = more.pop("state", STATES[number % len(STATES)])
    turn = {"id": f"t-{number}", "age": 7.0 + 13.7 * (number % 23), "doing": DOING[number % len(DOING)]}
    return ConversationEntry.model_validate(
        {
            "id": conversation_id(number),
            "state": state,
            "incarnation": 1 + number % 3,
            "pid": pid,
            "turn": turn if state == "running" else None,
            "tokens": 1200 * (1 + number * 37 % 400),
            "idle_for": None if state == "running" else 40.0 + 311.0 * number,
            "cwd": DIRECTORIES[number % len(DIRECTORIES)],
            "model": "gpt-5-codex",
            "title": TITLES[number % len(TITLES)],
            "cost": ({"currency": "USD", "amount": f"{0.04 * (1 + number % 9):.2f}"},),
        }
        | more
    )


def instance(pid: int = 41_200, count: int = 10, first: int = 0, **facts: Any) -> InstanceStatus:
    """Make an instance with conversations, of which those that are neither parked nor failed have a worker."""
    entries, processes, seen = [], _own_entries(pid), _own_processes(pid)
    for number in range(first, first + count):
        has_worker = STATES[number % len(STATES)] != "parked"
        worker = pid + 10 + number if has_worker else None
        entries.append(entry(number, worker))
        if worker is not None:
            processes.append(
                ProcessEntry.model_validate(
                    {"role": "worker", "pid": worker, "state": "hosting", "conversation_id": conversation_id(number)}
                )
            )
            seen.append(_worker(worker, pid + 1, number))
    told = report(
        instance=Instance(pid, "boot/1", "0.1.0", "/home/ada/.codex", "fork", NOW - 7500),
        conversations=tuple(entries),
        processes=tuple(processes),
        credential={"mode": "chatgpt", "state": "FRESH", "time_left": 3120.0, "plan_type": "team"},
        statistics={
            "conversations": {
                "known": count + facts.get("left_out", 0),
                "with_process": len(processes) - 3,
                "turns_running": sum(one.state == "running" for one in entries),
                "turns_waiting": 0,
            },
            "open_calls": 4,
        },
        clients=CLIENTS,
    )
    return of(told, seen, **facts)


def of(told: Report, seen: Sequence[SeenProcess], **facts: Any) -> InstanceStatus:
    """Put an instance together as the command does; `facts` are of its report."""
    changed = Report.model_validate(told.model_dump() | facts)
    return sight(changed, tree=seen, found=RunningInstance("/run/greenroom/x", told.instance, NOW - 3))


def nothing() -> Overview:
    """No instance runs."""
    return view()


def idle() -> Overview:
    """An instance without a conversation."""
    return view(instance(count=0))


def one() -> Overview:
    """One conversation."""
    return view(instance(count=1))


def busy() -> Overview:
    """An instance at work: somebody is asked, a process hangs, one has died, limits are met, and nodes have joined."""
    status = instance(count=10, paces=PACES, nodes=NODES)
    assert status.report is not None
    told = list(status.report.conversations)
    told[0] = entry(0, told[0].pid, turn={"id": "t-0", "age": 48.0, "doing": "running the tool shell: make test"})
    told[1] = entry(1, told[1].pid, approvals=1, turn={"id": "t-1", "age": 51.0, "doing": "waiting for the user"})
    told[3] = entry(3, told[3].pid, queued=2)
    told[6] = entry(6, None, state="crashed", restarts=1)
    seen = [one.seen for one in status.processes if one.seen is not None]
    seen = [one.model_copy(update={"state": "stopped"}) if one.pid == told[7].pid else one for one in seen]
    deaths = (
        {
            "at": NOW - 200,
            "process": "w-01a",
            "pid": 41_190,
            "cause": "signal 9 (SIGKILL): it used more than 2048 MiB of memory",
            "max_rss": 2049 * MIB,
            "conversation_id": conversation_id(6),
            "incarnation": 2,
            "doing": "running the tool shell: make test",
            "log_lines": (
                "info a turn begins",
                "info tool shell: make test",
                "warning 1.5 GiB are used of 2 GiB (worker_memory_mb)",
                "warning 1.9 GiB are used of 2 GiB (worker_memory_mb)",
            ),
        },
        {"at": NOW - 9000, "process": "broker", "pid": 41_201, "cause": "exit status 1", "max_rss": 0},
    )
    seen += _commands(status.instance.pid)
    return view(of(status.report, seen, conversations=tuple(told), deaths=deaths))


def crowd() -> Overview:
    """Three hundred conversations of two instances."""
    return view(instance(count=MOST), instance(pid=52_000, count=100, first=MOST, left_out=17))


def silent() -> Overview:
    """An instance that does not answer, as `status` shows it: by what the kernel tells."""
    told = instance(count=2)
    seen = [one.seen for one in told.processes if one.seen is not None]
    found = RunningInstance("/run/greenroom/x", told.instance, NOW - 12)
    return view(sight(response=ControlResponse("silent", seconds=1.0), tree=seen, found=found))


class Moving:
    """An overview whose processes work more and less, so that curves have a form. `look` at it again and again."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._random = random.Random(7)
        self._looks = 0

    def look(self) -> Overview:
        self._looks += 1
        return self._overview.model_copy(
            update={"instances": tuple(self._moved(status) for status in self._overview.instances)}
        )

    def _moved(self, status: InstanceStatus) -> InstanceStatus:
        processes = [one.model_copy(update={"seen": self._seen(one.seen)}) for one in status.processes]
        return status.model_copy(update={"processes": tuple(processes)})

    def _seen(self, seen: SeenProcess | None) -> SeenProcess | None:
        if seen is None or not seen.cpu_percent or seen.state == "stopped":
            return seen
        wave = 1 + math.sin(self._looks / 5 + seen.pid)
        cpu = seen.cpu_percent * wave + self._random.random() * 2
        rss = seen.rss + round((seen.pid % 7 + wave) * self._looks / 8 * MIB)
        return seen.model_copy(update={"cpu_percent": round(cpu, 1), "rss": rss})


def _own_entries(pid: int) -> list[ProcessEntry]:
    roles = {"supervisor": pid, "fork_server": pid + 1, "broker": pid + 2, "zygote": pid + 3}
    return [ProcessEntry.model_validate({"role": role, "pid": each, "state": "ready"}) for role, each in roles.items()]


def _own_processes(pid: int) -> list[SeenProcess]:
    return [
        process(pid, 1, "greenroom", threads=3, rss=44 * MIB),
        process(pid + 1, pid, "gr-forkserver", rss=52 * MIB, cpu_percent=0.0),
        process(pid + 2, pid + 1, "gr-broker", rss=42 * MIB, cpu_percent=0.0),
        process(pid + 3, pid + 1, "gr-zygote", rss=14 * MIB, cpu_percent=0.0),
        *_commands(pid),
    ]


def _commands(pid: int) -> list[SeenProcess]:
    """Return the processes of a command of the first conversation."""
    return [
        process(pid + 4, pid + 3, f"gr-mon {pid + 10}", below_cpu_percent=91.0),
        process(pid + 5, pid + 4, "make", cpu_percent=2.0, command=("make", "test")),
        process(pid + 6, pid + 5, "python", cpu_percent=86.0, rss=120 * MIB, command=("python", "-m", "pytest", "-q")),
    ]


def _worker(pid: int, parent: int, number: int) -> SeenProcess:
    is_running = STATES[number % len(STATES)] == "running"
    cpu = 3.0 + number % 11 if is_running else 0.0
    return process(pid, parent, "gr-worker", cpu_percent=cpu, rss=(38 + number * 5 % 30) * MIB)
