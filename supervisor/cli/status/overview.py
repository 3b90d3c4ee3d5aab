"""The output of `greenroom status --json`: for each instance the kernel's view beside its own report.

Its version changes with that of a report (`greenroom.protocol.report`), which is part of it.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from pydantic import ValidationError

from greenroom.protocol.ids import ConversationId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.report import Part, ProcessEntry, Report, Role
from greenroom.supervisor.cli.status.command_finder import FoundCommands, find_commands
from greenroom.supervisor.cli.status.control_client import ContactOutcome, ControlResponse
from greenroom.supervisor.cli.status.seen_process import SeenProcess
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
_WITHOUT_ANSWER: Final[dict[ContactOutcome, ReplyKind]] = {"silent": "silent", "shut": "shut"}
_FORKS: Final = frozenset({"supervisor", "fork_server"})
"""The processes whose children are known to be Greenroom's. Further down, a name proves nothing."""


class ProcessStatus(Part):
    """A process of the instance as seen by the kernel and by the supervisor. One of the two is missing for a moment."""

    role: Role
    pid: int
    worker_id: WorkerId | None = None
    conversation_id: ConversationId | None = None
    children: int = 0
    """Processes below it that are not Greenroom's, such as commands of the model."""
    commands: int = 0
    """Of a worker: processes of its commands and MCP servers, also of commands that a zygote has started for it."""
    commands_rss: int = 0
    """Resident memory of these; pages that several of them share count in each."""
    commands_cpu_percent: float | None = None
    """Share of one processor that these had since the last look, the ended ones included that were waited for."""
    seen: SeenProcess | None = None
    """`None` where the process has ended."""
    entry: ProcessEntry | None = None
    """The supervisor's entry of it; `None` where it has none."""


class CommandProcess(Part):
    """A process of a command or of an MCP server, or one that such a process has started."""

    seen: SeenProcess
    parent: int
    """The one of these processes, or of the instance's own, that it is below. Monitors of commands are passed over."""
    conversation_id: ConversationId | None = None
    """The conversation that has started it, as far as that can be told."""


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
    commands: tuple[CommandProcess, ...] = ()
    """The processes below those that are not Greenroom's, parents before children."""
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
    entries = {entry.pid: entry for entry in (report.processes if report else ()) if entry.pid is not None}
    roles = _roles(found.instance.pid, seen, entries)
    commands = find_commands(seen, roles)
    return InstanceStatus(
        instance=found.instance,
        directory=found.directory,
        reply=kind,
        reply_seconds=round(response.seconds, 6),
        refusal=refusal,
        seen_at=found.seen_at,
        processes=tuple(_processes(seen, roles, entries, commands)),
        commands=tuple(_commands(commands, entries)),
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


def _processes(
    seen: list[SeenProcess], roles: Mapping[int, Role], entries: Mapping[int, ProcessEntry], commands: FoundCommands
) -> Iterator[ProcessStatus]:
    by_pid = {one.pid: one for one in seen}
    for pid, role in roles.items():
        entry, work = entries.get(pid), commands.of_worker(pid)
        yield ProcessStatus(
            role=role,
            pid=pid,
            worker_id=entry.worker_id if entry else None,
            conversation_id=entry.conversation_id if entry else None,
            children=commands.count_below(pid),
            commands=len(work),
            commands_rss=sum(one.rss for one in work),
            commands_cpu_percent=commands.cpu_percent(pid) if role == "worker" else None,
            seen=by_pid.get(pid),
            entry=entry,
        )


def _commands(commands: FoundCommands, entries: Mapping[int, ProcessEntry]) -> Iterator[CommandProcess]:
    for one in commands.found:
        entry = None if one.worker is None else entries.get(one.worker)
        yield CommandProcess(
            seen=one.seen, parent=one.parent, conversation_id=None if entry is None else entry.conversation_id
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
