"""Messages between the supervisor and a worker: a kind, a msgpack header and, where there is one, a payload of JSON.

An operation goes to the worker, a notice comes from it. Each header is a struct that is checked once, where it
arrives; payloads pass through unread. Everything that concerns a conversation carries its id and incarnation,
so that what an older process of it still says can be told apart.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.approval import Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.errors import ErrorKind, RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.message import Message, pack, unpack
from greenroom.protocol.policy import ApprovalPolicy, Reviewer, SandboxMode
from greenroom.protocol.spending import Spending
from greenroom.protocol.timings import Timing
from greenroom.protocol.trace_context import TraceContext

HEARTBEAT: Final = 2.0
"""Seconds between two signs of life of a worker that runs a turn."""
FIRST_HEARTBEAT: Final = 0.25
"""Seconds after the beginning of a turn until the first: an observer that looks soon sees more than that it runs."""

H = TypeVar("H", bound="Header")


class Header(Message):
    """Base of all headers. `wire` is the kind frame that announces it."""

    wire: ClassVar[bytes]


class Addressed(Header):
    """A header that belongs to one incarnation of one conversation."""

    conversation_id: ConversationId
    incarnation: Incarnation


# Operations: supervisor to worker


class Open(Addressed):
    """Become this conversation. Payload: `{"cli": [...], "call": {...}}`, what the server and the call were given."""

    wire: ClassVar[bytes] = b"open"

    user_agent: str
    """How the model's servers are told who we are and for whom."""
    resume: Literal["no", "if-saved", "must"] = "no"
    """Whether to go on from a session file; `if-saved` for a conversation that may have died before it was saved."""
    path: str | None = None
    """The session file, where the caller named it; it is looked for by the conversation's id otherwise."""
    keep: bool = False
    """Whether the session file is to be there as soon as the conversation is, and not only once there is a turn."""
    ephemeral: bool = False
    """Whether nothing of the conversation is saved."""


class TurnSandbox(Message):
    """The sandbox of one turn, with the members of all policies (`greenroom.config.sandbox`)."""

    type: SandboxMode
    writable_roots: tuple[str, ...] = ()
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False


class TurnSettings(Message):
    """What one turn goes by instead of what its conversation does."""

    cwd: str
    approval_policy: ApprovalPolicy
    sandbox_policy: TurnSandbox
    model: str
    summary: str | None = None
    """`None`: that of the conversation, as with `effort`."""
    effort: str | None = None
    reviewer: Reviewer | None = None
    """`None`: that of the conversation."""


class StartTurn(Addressed):
    """Run a turn. Payload: the input items as a JSON array, which is empty where it pursues the goal."""

    wire: ClassVar[bytes] = b"turn"

    turn_id: TurnId
    settings: TurnSettings | None = None
    deltas: bool = True
    """As `SelectEvents` has it."""
    output_schema: bytes | None = None
    """JSON Schema that the agent's last message must fit, as JSON."""
    trace: TraceContext | None = None
    """The span that stands for the turn, of which model servers are told; `None` without tracing."""
    pursues_goal: bool = False
    """Whether the model is to go on with the goal of the conversation, in place of an input."""


class SelectEvents(Addressed):
    """Send or leave out `greenroom.protocol.choices.DELTA_EVENTS` from now on."""

    wire: ClassVar[bytes] = b"select-events"

    deltas: bool


class Steer(Addressed):
    """Put further input into the turn, if it is the one that runs. Payload: the items, as those of `StartTurn`."""

    wire: ClassVar[bytes] = b"steer"

    turn_id: TurnId
    input_id: TurnId
    """Names this input in `Steered` or `SteeringRefused`."""


class Compact(Addressed):
    """Put a summary in the place of what was said so far, in a turn without input that ends as every turn does."""

    wire: ClassVar[bytes] = b"compact"

    turn_id: TurnId
    trace: TraceContext | None = None
    """As `StartTurn` has it."""


class RunUserCommand(Addressed):
    """Run a shell script of the user, outside the sandbox, in a turn of its own that ends as every turn does."""

    wire: ClassVar[bytes] = b"user-command"

    turn_id: TurnId
    script: str
    timeout_ms: int | None = None
    """`None`: an hour."""
    trace: TraceContext | None = None
    """As `StartTurn` has it."""


class Interrupt(Addressed):
    """Abort the turn if it is the one that runs; it ends with `TurnEnded` as every turn does."""

    wire: ClassVar[bytes] = b"interrupt"

    turn_id: TurnId


class Decide(Addressed):
    """Say what became of a question. Answers to questions that are no longer open are ignored."""

    wire: ClassVar[bytes] = b"decide"

    question_id: int
    decision: Decision


class HoldEvents(Header):
    """Send no events, and nothing that follows them, until told otherwise: a client that listens does not read."""

    wire: ClassVar[bytes] = b"hold"

    hold: bool


class MeasureWorker(Header):
    """Say at once what you hold, whatever else you do; answered with `WorkerMeasured`."""

    wire: ClassVar[bytes] = b"measure"


class RunJob(Header):
    """Do one thing outside all conversations, and say when it is done. Payload: what exactly, as a JSON object."""

    wire: ClassVar[bytes] = b"job"

    name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z]+(-[a-z]+)*\Z")]
    """That of its params (`greenroom.protocol.internal.jobs.JobParams`)."""
    config_overrides: tuple[str, ...] = ()
    """The assignments of `-c` with which the server was started."""


class StopJob(Header):
    """Come to an end with what there is so far."""

    wire: ClassVar[bytes] = b"stop-job"


RequestName: TypeAlias = Literal[
    "clear-goal", "get-goal", "inject-items", "set-goal", "mcp-call", "mcp-resource", "mcp-status"
]


class ServeRequest(Addressed):
    """Do one thing for a client in the conversation, beside its turns. Payload: what exactly, as a JSON object.

    The payloads are structs of `greenroom.protocol.internal.requests`.
    """

    wire: ClassVar[bytes] = b"serve"

    number: int
    """Names the request in `RequestServed`."""
    name: RequestName


class WithdrawRequest(Addressed):
    """Break a request off: nobody waits for its result any more."""

    wire: ClassVar[bytes] = b"withdraw"

    number: int


class TellJob(Header):
    """Tell the job under way something. Payload: what, as a JSON object (`greenroom.protocol.internal.jobs`)."""

    wire: ClassVar[bytes] = b"tell-job"


class Close(Header):
    """Abort what runs, end every process of the conversation, save and leave."""

    wire: ClassVar[bytes] = b"close"


# Notices: worker to supervisor


class Ready(Header):
    """The worker is up and has its credentials channel; it waits for a conversation."""

    wire: ClassVar[bytes] = b"ready"

    worker_id: WorkerId
    pid: int


class OwnWorktree(Message):
    """The git worktree that belongs to a conversation."""

    path: str
    branch: str


class Opened(Addressed):
    """The worker has become the conversation. Payload: its `session_configured` event."""

    wire: ClassVar[bytes] = b"opened"

    model: str
    cwd: str
    session_path: str
    title: str | None = None
    """How the conversation began, in a few words; `None` where nothing has been said yet."""
    tokens: int = 0
    """Tokens that it had used before."""
    spending: Spending | None = None
    """What it had used before; `None` where nothing has a price."""
    worktree: OwnWorktree | None = None
    """`None` where it works in the directory that it was given."""


class OpenFailed(Addressed):
    """The conversation could not be opened. The worker is told to leave once this has been read."""

    wire: ClassVar[bytes] = b"open-failed"

    error_kind: ErrorKind
    message: str
    lacks_directory: bool = False
    """Whether the only reason is that its node does not have the directory: it may be opened elsewhere."""


class TurnProgress(Message):
    """What the worker of a running turn says of it. It is kept as it is, and the report has what it knows of it."""

    doing: str = "running a turn"
    """In words, such as `waiting for the model`; these until the worker has reported."""
    unsent: int = 0
    """Bytes of events that the supervisor has not taken yet."""
    step: str = ""
    """What the turn is in the middle of, as `Step` told it; empty where that is the model's doing."""


class Heartbeat(Addressed):
    """A sign of life, and what it shows; sent every `HEARTBEAT` seconds while a turn runs."""

    wire: ClassVar[bytes] = b"heartbeat"

    turn_id: TurnId
    progress: TurnProgress
    tokens: int
    """Tokens that the conversation has used so far."""
    timings: tuple[Timing, ...] = ()
    """What is complete since the last message that told any."""


class Step(Addressed):
    """A step of the turn has begun or ended; told to its client alone, and at most a few times a second."""

    wire: ClassVar[bytes] = b"step"

    turn_id: TurnId
    text: str
    """In words for a person, on one line, of at most 200 characters."""


class AskUser(Addressed):
    """Ask the user. Payload: the question (`greenroom.protocol.approval`). It is withdrawn when its turn ends."""

    wire: ClassVar[bytes] = b"ask"

    turn_id: TurnId
    question_id: int
    form: EventForm = "current"
    """The form of the conversation's events (`event_form` in its settings)."""


class Steered(Addressed):
    """The running turn has taken further input in. What was not before it ended waits for a turn of its own."""

    wire: ClassVar[bytes] = b"steered"

    input_id: TurnId


class SteeringRefused(Addressed):
    """Further input for the running turn was refused, and would be in any turn. The running turn goes on without it."""

    wire: ClassVar[bytes] = b"steering-refused"

    input_id: TurnId
    error_kind: ErrorKind
    message: str
    facts: dict[str, int] = msgspec.field(default_factory=dict)
    """Numbers that belong to the refusal (`greenroom.protocol.errors.GreenroomError.facts`)."""


class RequestServed(Addressed):
    """A request of a client is done. Payload: its result as JSON; nothing where it failed."""

    wire: ClassVar[bytes] = b"served"

    number: int
    failure: str | None = None
    """Why it failed, in words."""
    error_kind: ErrorKind | None = None


class JobReport(Header):
    """Something that the job under way tells its client. Payload: what, as a JSON object."""

    wire: ClassVar[bytes] = b"job-report"


class JobDone(Header):
    """The job is over, and the worker is told to leave. Payload: its result as JSON; nothing where it failed."""

    wire: ClassVar[bytes] = b"job-done"

    failure: str | None = None
    """Why it failed, in words."""
    error_kind: ErrorKind | None = None


class TurnEnded(Addressed):
    """The one end of a turn, after its last event. Payload: the last agent message as a JSON string (`""` for none).

    A turn that went well and could not be saved has failed with the kind `session_unsaved`, and has its payload.
    """

    wire: ClassVar[bytes] = b"turn-ended"

    turn_id: TurnId
    outcome: Literal["completed", "failed", "aborted"]
    error_kind: ErrorKind | None = None
    message: str | None = None
    """The failure in words, or the reason of the abort."""
    facts: dict[str, int] = msgspec.field(default_factory=dict)
    """Numbers that belong to the failure (`greenroom.protocol.errors.GreenroomError.facts`)."""
    tokens: int = 0
    """Tokens that the conversation has used so far."""
    spending: Spending | None = None
    """What it has used so far; `None` where nothing has a price."""
    turn_spending: Spending | None = None
    """What of that this turn has used."""
    open_commands: int = 0
    """Commands of the conversation that go on."""
    unsaved: bool = False
    """Whether something of the conversation could not be written to its file."""
    timings: tuple[Timing, ...] = ()
    """As `Heartbeat` has them."""
    untimed: int = 0
    """Timings that were dropped in this turn, because there were too many to keep."""


class CommandsEnded(Addressed):
    """Between two turns: the last of the commands that went on has ended."""

    wire: ClassVar[bytes] = b"commands-ended"


class OwnZygote(Message):
    """The process that starts a worker's commands, where it is the worker's own."""

    pid: int | None
    """`None` while there is none; the next command gets another one."""
    restarts: int
    """How often another one has taken the place of one that was lost."""


class HelperLost(Header):
    """A process that starts commands, or that watches over one, has died or was killed by the worker."""

    wire: ClassVar[bytes] = b"helper-lost"

    role: Literal["zygote", "monitor"]
    pid: int
    is_shared: bool
    """Whether the fork server tells of its death as well, being its parent."""
    returncode: int
    """As `subprocess` has it: the exit status, or minus the signal's number."""
    max_rss: int
    """Largest resident memory of its life, in bytes; 0 where that is not known."""
    cause: str | None = None
    """What it was killed for, in words, where the worker has killed it."""


class WorkerMeasured(Header):
    """What the worker holds."""

    wire: ClassVar[bytes] = b"measured"

    footprint: Footprint
    zygote: OwnZygote | None = None
    """`None` where it has none of its own."""


Operation: TypeAlias = (
    Open
    | StartTurn
    | SelectEvents
    | Steer
    | Compact
    | RunUserCommand
    | Interrupt
    | Decide
    | HoldEvents
    | RunJob
    | StopJob
    | TellJob
    | ServeRequest
    | WithdrawRequest
    | MeasureWorker
    | Close
)
Notice: TypeAlias = (
    Ready
    | Opened
    | OpenFailed
    | Heartbeat
    | Step
    | AskUser
    | Steered
    | SteeringRefused
    | TurnEnded
    | CommandsEnded
    | RequestServed
    | JobReport
    | JobDone
    | HelperLost
    | WorkerMeasured
)

OPERATIONS: Final[Mapping[bytes, type[Operation]]] = {
    kind.wire: kind
    for kind in (
        Open,
        StartTurn,
        SelectEvents,
        Steer,
        Compact,
        RunUserCommand,
        Interrupt,
        Decide,
        HoldEvents,
        RunJob,
        StopJob,
        TellJob,
        ServeRequest,
        WithdrawRequest,
        MeasureWorker,
        Close,
    )
}
NOTICES: Final[Mapping[bytes, type[Notice]]] = {
    kind.wire: kind
    for kind in (
        Ready,
        Opened,
        OpenFailed,
        Heartbeat,
        Step,
        AskUser,
        Steered,
        SteeringRefused,
        TurnEnded,
        CommandsEnded,
        RequestServed,
        JobReport,
        JobDone,
        HelperLost,
        WorkerMeasured,
    )
}


class ReceivedOperation(NamedTuple):
    """An operation as it arrived."""

    operation: Operation
    payload: bytes


class NoticeOrder(NamedTuple):
    """Where a notice belongs among the frames of its worker (`greenroom.protocol.internal.event_stream`)."""

    frames_before: int
    """Frames that the worker sent before it since its beginning."""
    number: int
    """Its own number among the notices, from 1."""


OUT_OF_ORDER: Final = NoticeOrder(0, 0)
"""The order of a notice that goes ahead of everything."""


class ReceivedNotice(NamedTuple):
    """A notice as it arrived."""

    notice: Notice
    payload: bytes
    order: NoticeOrder


_order: Final = struct.Struct(">QQ")


def frames(message: Operation | Notice, payload: bytes = b"") -> list[bytes]:
    """Return the frames of a message."""
    return [message.wire, pack(message), payload]


def notice_frames(notice: Notice, payload: bytes, order: NoticeOrder) -> list[bytes]:
    """Return the frames of a notice."""
    return [*frames(notice, payload), _order.pack(*order)]


def read_operation(parts: Sequence[bytes]) -> ReceivedOperation:
    """Decode what the supervisor sent. Raises `RemoteProtocolError`."""
    wire, header, payload = _three(parts)
    return ReceivedOperation(unpack(_known(OPERATIONS, wire), header), payload)


def read_notice(parts: Sequence[bytes]) -> ReceivedNotice:
    """Decode what a worker sent. Raises `RemoteProtocolError`."""
    wire, header, payload = _three(parts[:3])
    if len(parts) != 4 or len(parts[3]) != _order.size:
        raise RemoteProtocolError("a notice that does not say where it belongs among the events")
    return ReceivedNotice(unpack(_known(NOTICES, wire), header), payload, NoticeOrder(*_order.unpack(parts[3])))


def _three(parts: Sequence[bytes]) -> tuple[bytes, bytes, bytes]:
    if len(parts) != 3:
        raise RemoteProtocolError(f"{len(parts)} frames in place of 3")
    return parts[0], parts[1], parts[2]


def _known(kinds: Mapping[bytes, type[H]], wire: bytes) -> type[H]:
    try:
        return kinds[wire]
    except KeyError:
        raise RemoteProtocolError(f"unknown kind {wire[:32]!r}") from None
