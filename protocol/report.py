"""What a supervisor reports about itself, its processes and its conversations: the schema behind `greenroom status`.

Within one version fields may be added but never change their meaning; readers ignore unknown ones. `None` means unknown
or not applicable. Times are seconds since the epoch and are called `…at`; ages and durations are seconds up to
`Report.at`; sizes are bytes.

Statistics are copied unchanged: `PoolFigures.model_validate(pool.statistics())`.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.internal.broker import AuthMode, AuthState

MAX_CONVERSATIONS: Final = 200
"""Maximum conversations in a report. Those with a process or in trouble come first, then the most recently used."""
MAX_DEATHS: Final = 20
"""Maximum deaths in a report."""
MAX_TEXT: Final = 400
"""Maximum characters of a text in a report; longer ones are cut."""

ConversationState: TypeAlias = Literal[
    "new", "starting", "idle", "running", "parking", "parked", "crashed", "failed", "closed"
]
"""As in `greenroom.supervisor.conversations.lifecycle`."""

Role: TypeAlias = Literal["supervisor", "fork_server", "broker", "worker", "zygote"]

ProcessState: TypeAlias = Literal["starting", "ready", "hosting", "leaving", "restarting", "given_up"]
"""`ready`: it is working, or it is a worker waiting for a conversation. `hosting`: a worker that has one. `restarting`:
it died and will be replaced. `given_up`: it died too often and will not be replaced."""


def _portable(value: object) -> object:
    """Cut a text, and replace surrogates that stand for undecodable bytes, as in the name of a directory."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    return text.encode("utf-8", "replace").decode()


Text: TypeAlias = Annotated[str, BeforeValidator(_portable)]
"""A text for people."""


class Part(BaseModel):
    """Base of all parts of a report."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True, defer_build=True)


# Statistics


class StdioFigures(Part):
    """The client's pipe (`greenroom.supervisor.frontend.stdio.StdioStatistics`)."""

    read: int
    """Bytes read since the start."""
    written: int
    """Bytes written since the start."""
    waiting: int
    """Bytes waiting for the client to read."""


class PortFigures(Part):
    """The socket that workers are reached through (`greenroom.runtime.zmq_stream.ZmqStreamStatistics`)."""

    received: int
    """Messages received."""
    sent: int
    """Messages sent."""
    refused: int
    """Messages dropped because a queue was full or the recipient gone."""
    paused: bool
    """Whether workers are paused because the client does not read."""


class PoolFigures(Part):
    """Workers without a conversation (`greenroom.supervisor.processes.pool.PoolStatistics`)."""

    waiting: int
    """Workers that are ready."""
    expected: int
    """Workers that are starting."""
    orders: int
    """Conversations that wait for a worker."""


class EngineFigures(Part):
    """Processes other than the supervisor and the fork server
    (`greenroom.supervisor.processes.engine.EngineStatistics`)."""

    born: int
    exited: int
    alive: int


class ConversationFigures(Part):
    """The table of conversations (`greenroom.supervisor.conversations.registry.ConversationsStatistics`)."""

    known: int
    with_process: int
    waiting_for_place: int = 0
    """Conversations that wait until another one is parked."""
    turns_running: int
    turns_waiting: int
    forgotten: int = 0
    """How often a parked conversation was forgotten since the start; after that only its session file is left."""


class Statistics(Part):
    """Counters of the supervisor, one group per component."""

    stdio: StdioFigures | None = None
    worker_router: PortFigures | None = None
    pool: PoolFigures | None = None
    engine: EngineFigures | None = None
    conversations: ConversationFigures | None = None
    open_calls: int | None = None
    """Tool calls that are not answered yet."""


# Processes and conversations


class OwnFigures(Part):
    """Figures that a process can only measure of itself, because Greenroom's processes are undumpable."""

    uss: int | None = None
    """Memory that no other process shares."""
    pss: int | None = None
    """Memory, with shared pages divided among their users."""
    descriptors: int | None = None
    """Open descriptors."""
    unsent: int | None = None
    """Bytes of events not yet taken by the supervisor."""
    sandbox_limits: tuple[Text, ...] = ()
    """What the sandbox of a worker's commands cannot enforce on this system, or only at a cost; known once one has
    run."""


class ProcessEntry(Part):
    """A process of the server, as the supervisor knows it."""

    role: Role
    pid: int | None = None
    """`None` while it is starting or restarting."""
    state: ProcessState | None = None
    worker_id: WorkerId | None = None
    """The id of a worker; for other processes the same as `role`."""
    conversation_id: ConversationId | None = None
    """The conversation that a worker hosts, or whose zygote it is; `None` for the shared zygote."""
    restarts: int | None = None
    """Deaths that currently count towards its restart intensity."""
    heard_ago: float | None = None
    """Age of its last heartbeat; workers send heartbeats only while a turn runs."""
    own: OwnFigures | None = None


class DeathEntry(Part):
    """How a process of the server died (`greenroom.supervisor.processes.exits.ExitRecord`)."""

    at: float
    process: WorkerId
    """Which process: the id of a worker, `broker`, `fork_server`, a name that begins with `zygote`, or `guardian`."""
    pid: int
    """0 if it died before it was started."""
    cause: Text
    """A signal, an exit status, or why it was killed, as text."""
    signal: int | None = None
    exit_code: int | None = None
    max_rss: int
    """Its maximum resident memory."""
    conversation_id: ConversationId | None = None
    incarnation: Incarnation | None = None
    doing: Text | None = None
    """What it was doing, according to its last message."""
    log_lines: tuple[Text, ...] = ()
    """Its last log lines."""


class TurnEntry(Part):
    """The running turn."""

    id: TurnId
    age: float
    doing: Text | None = None
    """What it is doing, such as `waiting for the model`."""
    interrupted: bool = False
    """Whether it was asked to end."""


class ConversationEntry(Part):
    """One conversation, with or without a process."""

    id: ConversationId
    state: ConversationState
    incarnation: Incarnation
    """How many processes have hosted it; 0 before the first."""
    worker_id: WorkerId | None = None
    pid: int | None = None
    turn: TurnEntry | None = None
    """`None` while none runs."""
    queued: int = 0
    """Turns queued behind the running one."""
    tokens: int | None = None
    """Tokens of all its turns so far."""
    approvals: int | None = None
    """Unanswered questions to the user."""
    restarts: int | None = None
    """Deaths that currently count towards its restart intensity."""
    idle_for: float | None = None
    """Seconds since its last turn ended."""
    last_death: DeathEntry | None = None
    cwd: Text | None = None
    model: Text | None = None
    title: Text | None = None
    """Its first words."""
    session_path: Text | None = None


# What holds for the whole instance


class ClientEntry(Part):
    """The client's name and version, as reported by the client."""

    name: Text
    version: Text
    protocol: str | None = None
    """The negotiated MCP revision."""


class CredentialEntry(Part):
    """The state of the auth broker. Never contains a token or an account."""

    mode: AuthMode
    state: AuthState
    time_left: float | None = None
    """Seconds until the token expires, negative once it has; `None` for an API key."""
    plan_type: str | None = None


class LimitFigures(Part):
    """The limits in force (`greenroom.config.defaults.Limits`)."""

    park_after: float | None = None
    live_workers: int | None = None
    known_at_rest: int | None = None
    open_calls: int | None = None
    queued_turns: int | None = None
    worker_memory: int | None = None
    hang_after: float | None = None
    start_timeout: float | None = None


class Report(Part):
    """The whole report, as of one moment."""

    version: Literal[1] = 1
    at: float
    """When it was made."""
    instance: Instance
    client: ClientEntry | None = None
    statistics: Statistics = Field(default_factory=Statistics)
    processes: tuple[ProcessEntry, ...] = ()
    conversations: tuple[ConversationEntry, ...] = ()
    """At most `MAX_CONVERSATIONS`."""
    left_out: int = 0
    """Number of conversations that are not listed."""
    deaths: tuple[DeathEntry, ...] = ()
    """The most recent unexpected deaths, newest first; at most `MAX_DEATHS`."""
    credential: CredentialEntry | None = None
    limits: LimitFigures | None = None
