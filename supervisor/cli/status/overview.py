"""The output of `greenroom status --json`: for each instance the kernel's view beside its own report.

Its version changes with that of a report (`greenroom.protocol.report`), which is part of it.
"""

from typing import Final, Literal, TypeAlias

from pydantic import ValidationError

from greenroom.protocol.ids import ConversationId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.report import Part, ProcessEntry, Report, Role
from greenroom.supervisor.cli.status.control_client import ControlResponse, Outcome
from greenroom.supervisor.control.control_messages import ActionRefused, Reported
from greenroom.supervisor.control.instances import RunningInstance

ReplyKind: TypeAlias = Literal["report", "silent", "shut", "refused", "unreadable"]
"""`silent`: it does not answer in time. `shut`: nothing listens on its control socket: it is starting, or ending.
`refused`: it does not answer this process. `unreadable`: it is of another version, whose answer cannot be read.
"""

TroubleKind: TypeAlias = Literal[
    "silent",
    "shut",
    "refused",
    "unreadable",
    "process_stopped",
    "process_missing",
    "given_up",
    "conversation_failed",
    "credential",
]

NAMES: Final[dict[str, Role]] = {
    "gr-forkserver": "fork_server",
    "gr-broker": "broker",
    "gr-worker": "worker",
    "gr-zygote": "zygote",
    "gr-ray": "ray",
}
"""The names that processes of Greenroom give themselves."""
_WITHOUT_ANSWER: Final[dict[Outcome, ReplyKind]] = {"silent": "silent", "shut": "shut"}
_FORKS: Final = frozenset({"supervisor", "fork_server"})
"""The processes whose children are known to be Greenroom's. Further down, a name proves nothing."""


class SeenProcess(Part):
    """A process as the kernel shows it to its user."""

    pid: int
    parent: int
    name: str
    state: str
    """As named by psutil: `running`, `sleeping`, `disk-sleep`, `stopped`, `zombie` and so on."""
    created_at: float
    rss: int
    """Resident memory; pages that several processes share count in each."""
    uss: int | None
    """Memory that no other process shares; `None` where it may not be read."""
    pss: int | None
    """Memory, with shared pages divided among the processes that share them; `None` where it may not be read."""
    cpu_seconds: float
    """Processor time so far."""
    cpu_percent: float | None
    """Share of one processor since the last look; `None` on the first."""
    threads: int
    descriptors: int | None
    """`None` where they may not be read."""


class ProcessStatus(Part):
    """A process of the instance as seen by the kernel and by the supervisor. One of the two is missing for a moment."""

    role: Role
    pid: int
    worker_id: WorkerId | None = None
    conversation_id: ConversationId | None = None
    children: int = 0
    """Processes below it that are not Greenroom's, such as commands of the model."""
    seen: SeenProcess | None = None
    """`None` where the process has ended."""
    entry: ProcessEntry | None = None
    """The supervisor's entry of it; `None` where it has none."""


class Diagnosis(Part):
    """A problem that a person should look at."""

    kind: TroubleKind
    text: str


class InstanceStatus(Part):
    """One instance."""

    instance: Instance
    directory: str
    """Its runtime directory."""
    reply: ReplyKind
    reply_seconds: float
    """How long it took to answer."""
    refusal: str | None = None
    """Its text where it refused."""
    seen_at: float
    """Its last sign of life. It gives one every 5 s, so it has been silent for little longer than since then."""
    processes: tuple[ProcessStatus, ...]
    """The supervisor first, then in the order of their starts."""
    report: Report | None = None
    troubles: tuple[Diagnosis, ...] = ()


class Overview(Part):
    """All instances that were asked for, oldest first."""

    version: Literal[1] = 1
    at: float
    """When it was made, in seconds since the epoch."""
    exit_code: int
    """What the command ends with (`greenroom.supervisor.cli.status.diagnostics`)."""
    instances: tuple[InstanceStatus, ...]


def instance_status(found: RunningInstance, response: ControlResponse, seen: list[SeenProcess]) -> InstanceStatus:
    """Join what is known of one instance. Problems are diagnosed afterwards."""
    kind, report, refusal = _said(response)
    return InstanceStatus(
        instance=found.instance,
        directory=found.directory,
        reply=kind,
        reply_seconds=round(response.seconds, 6),
        refusal=refusal,
        seen_at=found.seen_at,
        processes=_processes(found.instance.pid, report, seen),
        report=report,
    )


def _said(response: ControlResponse) -> tuple[ReplyKind, Report | None, str | None]:
    match response.reply:
        case Reported(report=raw):
            try:
                return "report", Report.model_validate_json(bytes(raw)), None
            except ValidationError:
                return "unreadable", None, None
        case ActionRefused(text=text):
            return "refused", None, text
    return _WITHOUT_ANSWER.get(response.outcome, "unreadable"), None, None


def _processes(root: int, report: Report | None, seen: list[SeenProcess]) -> tuple[ProcessStatus, ...]:
    entries = {entry.pid: entry for entry in (report.processes if report else ()) if entry.pid is not None}
    roles = _roles(root, seen, entries)
    children = _children(seen, roles)
    by_pid = {one.pid: one for one in seen}
    return tuple(
        ProcessStatus(
            role=role,
            pid=pid,
            worker_id=entry.worker_id if (entry := entries.get(pid)) else None,
            conversation_id=entry.conversation_id if entry else None,
            children=children.get(pid, 0),
            seen=by_pid.get(pid),
            entry=entry,
        )
        for pid, role in roles.items()
    )


def _roles(root: int, seen: list[SeenProcess], entries: dict[int, ProcessEntry]) -> dict[int, Role]:
    """Return the processes of the instance and their roles: those in the report, and those with a known name."""
    roles: dict[int, Role] = {}
    for one in seen:
        if one.pid == root:
            roles[one.pid] = "supervisor"
        elif one.pid in entries:
            roles[one.pid] = entries[one.pid].role
        elif one.name in NAMES and roles.get(one.parent) in _FORKS:
            roles[one.pid] = NAMES[one.name]
    return roles | {pid: entry.role for pid, entry in entries.items() if pid not in roles}


def _children(seen: list[SeenProcess], roles: dict[int, Role]) -> dict[int, int]:
    """Count the descendants of each process of the instance that are not of the instance."""
    belongs: dict[int, int] = {}
    counts: dict[int, int] = {}
    for one in seen:
        if one.pid in roles:
            belongs[one.pid] = one.pid
        elif (owner := belongs.get(one.parent)) is not None:
            belongs[one.pid] = owner
            counts[owner] = counts.get(owner, 0) + 1
    return counts
