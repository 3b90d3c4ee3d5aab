"""What a supervisor says of itself, its processes and its conversations: the schema behind `greenroom status`.

Within one version fields are added and never change their meaning; readers pass over those that they do not know. A
field that is `None` is one that the supervisor has not been told, or that does not apply. Times are seconds since the
epoch and are called `…at`; ages and durations are seconds up to `Report.at`; sizes are bytes.

Statistics are taken over as they are: `PoolFigures.model_validate(pool.statistics())`.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.internal.broker.body import AuthMode, AuthState

MAX_CONVERSATIONS: Final = 200
"""Conversations that a report lists. Those that have a process or are in trouble come first, then the latest used."""
MAX_DEATHS: Final = 20
"""Deaths that a report lists."""
MAX_TEXT: Final = 400
"""Characters that a text of a report may have; what is longer is cut."""

ConversationState: TypeAlias = Literal[
    "new", "starting", "idle", "running", "parking", "parked", "crashed", "failed", "closed"
]
"""As in `greenroom.supervisor.conversations.state.lifecycle`."""

Role: TypeAlias = Literal["supervisor", "fork_server", "broker", "worker", "zygote", "ray"]

ProcessState: TypeAlias = Literal["starting", "ready", "hosting", "leaving", "restarting", "given_up"]
"""`ready`: it does its work, or as a worker waits for a conversation. `hosting`: a worker that has one. `restarting`:
it died, and another one will take its place. `given_up`: it died too often and no other will come."""


def _portable(value: object) -> object:
    """Cut a text, and replace what stands in it for undecodable bytes, as in the name of a directory."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    return text.encode("utf-8", "replace").decode()


PortableText: TypeAlias = Annotated[str, BeforeValidator(_portable)]
"""A text for people."""


class Part(BaseModel):
    """Base of all parts of a report."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True, defer_build=True)


# Statistics


class StdioFigures(Part):
    """The transports of all clients (`greenroom.supervisor.frontend.stdio.StdioStatistics`)."""

    read: int
    """Bytes read since the start."""
    written: int
    """Bytes written since the start."""
    waiting: int
    """Bytes that wait for the client to read."""


class PortFigures(Part):
    """The socket that workers are reached through (`greenroom.runtime.zmq.zmq_stream.ZmqStreamStatistics`)."""

    received: int
    """Messages taken."""
    sent: int
    """Messages sent."""
    refused: int
    """Messages that found a queue full or no receiver."""
    paused: bool = False
    """Whether workers are made to wait because a client does not read."""


class PoolFigures(Part):
    """Workers without a conversation (`greenroom.supervisor.processes.pool.PoolStatistics`)."""

    waiting: int
    """Workers that are ready."""
    expected: int
    """Workers on their way."""
    orders: int
    """Conversations that wait for a worker."""


class EngineFigures(Part):
    """Processes other than the supervisor and the fork server
    (`greenroom.supervisor.processes.engines.engine.EngineStatistics`)."""

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
    """How often a conversation at rest was forgotten since the start: only its session file tells of it then."""


class Statistics(Part):
    """Counters of the supervisor, one group for each of its parts."""

    stdio: StdioFigures | None = None
    worker_router: PortFigures | None = None
    pool: PoolFigures | None = None
    engine: EngineFigures | None = None
    conversations: ConversationFigures | None = None
    open_calls: int | None = None
    """Tool calls that wait for their answer."""


# Processes and conversations


def portable(own: Footprint) -> Footprint:
    """Return what a process says of itself with texts that a report may have."""
    return msgspec.structs.replace(own, sandbox_limits=tuple(map(str, map(_portable, own.sandbox_limits))))


def _own(value: object) -> Footprint:
    """Read what another version may have written, whose further members count for nothing."""
    if isinstance(value, Mapping):
        value = {name: value[name] for name in Footprint.__struct_fields__ if name in value}
    try:
        return portable(msgspec.convert(value, Footprint))
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


class _OwnSchema:
    """Tells the JSON schema of a footprint, of which readers pass over the members that they do not know."""

    def __get_pydantic_json_schema__(self, core: object, handler: object) -> dict[str, object]:
        schema = msgspec.json.schema(Footprint)["$defs"][Footprint.__name__]
        del schema["additionalProperties"]
        return dict(schema)


OwnFigures: TypeAlias = Annotated[Footprint, PlainValidator(_own), PlainSerializer(msgspec.to_builtins), _OwnSchema()]
"""What only a process itself can read of itself, as it has told it."""


class ProcessEntry(Part):
    """A process of the program, as the supervisor knows it."""

    role: Role
    pid: int | None = None
    """`None` while it is being born or restarted."""
    state: ProcessState | None = None
    worker_id: WorkerId | None = None
    """Id of a worker; of others the same as `role`."""
    conversation_id: ConversationId | None = None
    """The conversation that a worker hosts, or whose commands a zygote starts; `None` for the one that all share."""
    restarts: int | None = None
    """Deaths that count towards its restart intensity at the moment."""
    heard_ago: float | None = None
    """Age of its last sign of life; workers give signs of life only while a turn runs."""
    node: PortableText | None = None
    """The node that it runs on; `None` for the machine of the supervisor."""
    node_pid: int | None = None
    """Its process id there; `pid` is only of this machine."""
    own: OwnFigures | None = None


class DeathEntry(Part):
    """How a process of the program died (`greenroom.supervisor.processes.exits.ExitRecord`)."""

    at: float
    process: WorkerId
    """Which one: the id of a worker, `broker`, `fork_server`, a name that begins with `zygote`, or `monitor`."""
    pid: int
    """0 for one that died before it was born."""
    cause: PortableText
    """In words: a signal, an exit status, or what it was killed for."""
    signal: int | None = None
    exit_code: int | None = None
    max_rss: int
    """Largest resident memory of its life."""
    conversation_id: ConversationId | None = None
    incarnation: Incarnation | None = None
    doing: PortableText | None = None
    """What it was doing, as far as it had said."""
    log_lines: tuple[PortableText, ...] = ()
    """The last that it logged."""
    node: PortableText | None = None
    """The node that it ran on; empty or `None` for the machine of the supervisor."""


class TurnEntry(Part):
    """The turn that runs."""

    id: TurnId
    age: float
    doing: PortableText | None = None
    """As the worker tells it (`greenroom.protocol.internal.worker.notices.TurnProgress`)."""
    interrupted: bool = False
    """Whether it has been asked to end."""


class CostEntry(Part):
    """An amount of money (`greenroom.protocol.spending.Money`)."""

    currency: str
    amount: str
    """A decimal number, exact."""


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
    """Turns that wait for those before them."""
    tokens: int | None = None
    """Tokens of all its turns so far."""
    cost: tuple[CostEntry, ...] = ()
    """What it has cost so far by the prices of the configuration, one entry for each currency."""
    unpriced_tokens: int | None = None
    """Tokens of models without a price, which the cost leaves out; `None` where nothing has a price."""
    approvals: int | None = None
    """Questions to the user that wait for an answer."""
    restarts: int | None = None
    """Deaths that count towards its restart intensity at the moment."""
    idle_for: float | None = None
    """Seconds since its last turn ended."""
    last_death: DeathEntry | None = None
    cwd: PortableText | None = None
    model: PortableText | None = None
    title: PortableText | None = None
    """How it began, in a few words."""
    session_path: PortableText | None = None
    node: PortableText | None = None
    """The node of its process, or of its last one; `None` for the machine of the supervisor."""


# What holds for the whole instance


class ClientEntry(Part):
    """A client, as it has introduced itself."""

    name: PortableText
    version: PortableText
    protocol: str | None = None
    """The MCP revision that was agreed on."""
    id: str = ""
    """Identifies it among the clients of all instances that run."""
    pid: int | None = None
    """Its process, where the system tells."""
    connected_at: float | None = None
    open_calls: int | None = None
    """Tool calls that wait for their answer."""
    waiting: int | None = None
    """Bytes that wait for it to read."""


NodeStateName: TypeAlias = Literal["absent", "ready", "away", "draining", "lost"]
"""As in `greenroom.supervisor.processes.nodes.membership`."""


class NodeEntry(Part):
    """Another machine that runs workers (`greenroom.supervisor.processes.nodes.engine.NodeView`)."""

    name: PortableText
    state: NodeStateName
    capacity: int
    """Workers that it takes at a time."""
    workers: int
    """Workers that it has, those without a conversation included."""
    version: PortableText = ""
    round_trip: float | None = None
    """Seconds that a message takes there and back."""
    heard_ago: float | None = None
    memory: int | None = None
    """Resident memory of all its processes."""
    free_memory: int | None = None
    """What its machine could still give out."""
    load: float | None = None
    """Load average of its machine over a minute, by core."""
    free_disk: int | None = None
    """Bytes that its user can still write where its state is."""
    sandbox: PortableText = ""
    """Why commands cannot be confined there; empty where they can."""
    engine: PortableText = "join"
    """What has placed it (`greenroom.nodes.engine`)."""
    note: PortableText = ""
    """What it waits for, for people."""


class CredentialEntry(Part):
    """Where the auth broker stands. Never holds a token or whose it is."""

    mode: AuthMode
    state: AuthState
    time_left: float | None = None
    """Seconds until the token expires, negative once it has; `None` for a key."""
    plan_type: str | None = None


class PaceEntry(Part):
    """The pace of requests under one rate limit (`greenroom.broker.pace.PaceFigures`)."""

    key: str
    """A fingerprint of the model's server and the account, which reveals neither."""
    interval: float
    """Seconds between two requests."""
    waiting: int
    """Requests that wait for their turn."""
    hold: float
    """Seconds until the next request may be sent; 0 if it may be at once."""
    quiet_for: float
    """Seconds since the last refusal (429 and the like)."""
    refusals: int
    """Refusals since the limit became known."""


class TelemetryEntry(Part):
    """What has become of the records of one signal for a collector of OpenTelemetry."""

    signal: str
    """`spans` or `events`."""
    sent: int
    failed: int
    """Records that the collector has not taken."""
    dropped: int
    """Records for which there was no room, because too many waited."""
    failure: str
    """Why the last that failed did, in a few words; empty where none did."""


class LatencyFigures(Part):
    """Seconds, as accurate as the buckets of the metric."""

    p50: float
    p99: float


class WorkFigures(Part):
    """What has been done since the start. `docs/metrics.md` says what is counted."""

    calls: int
    """Turns, further inputs, compactions and commands that clients have asked for."""
    calls_refused: int
    """Those of them that were refused because too many waited."""
    turns: dict[str, int]
    """Turns that have ended, by outcome: `completed`, `failed`, `aborted`."""
    first_token: LatencyFigures | None = None
    """From the last attempt at a model request to the first event of its answer; `None` before the first answer."""
    tokens: dict[str, int]
    """As model servers have reported them: `input` with `cached_input`, `output` with `reasoning_output`."""
    rate_limited: int
    """Attempts at model requests that were refused with the status 429."""
    deaths: int
    """Of processes, that nobody asked for."""


class LimitFigures(Part):
    """The limits in force (`greenroom.config.defaults.Limits`)."""

    park_after: float | None = None
    live_workers: int | None = None
    known_at_rest: int | None = None
    open_calls: int | None = None
    client_calls: int | None = None
    client_buffer: int | None = None
    slow_client: float | None = None
    max_clients: int | None = None
    queued_turns: int | None = None
    worker_memory: int | None = None
    hang_after: float | None = None
    start_timeout: float | None = None


class Report(Part):
    """All of it, as of one moment."""

    version: Literal[1] = 1
    at: float
    """When it was made."""
    instance: Instance
    client: ClientEntry | None = None
    """The one that has been connected longest."""
    clients: tuple[ClientEntry, ...] = ()
    """All that are connected, the oldest first."""
    statistics: Statistics = Field(default_factory=Statistics)
    processes: tuple[ProcessEntry, ...] = ()
    conversations: tuple[ConversationEntry, ...] = ()
    """At most `MAX_CONVERSATIONS`."""
    left_out: int = 0
    """Conversations that are not listed."""
    deaths: tuple[DeathEntry, ...] = ()
    """The last that were not intended, newest first; at most `MAX_DEATHS`."""
    credential: CredentialEntry | None = None
    paces: tuple[PaceEntry, ...] = ()
    """The rate limits that are known, those first that became known first. A limit that has refused nothing for two
    minutes is forgotten."""
    nodes: tuple[NodeEntry, ...] = ()
    """Other machines that are known, in the order of their names."""
    telemetry: tuple[TelemetryEntry, ...] = ()
    """The signals of which something has been sent to a collector of OpenTelemetry, or should have been."""
    limits: LimitFigures | None = None
    work: WorkFigures | None = None
