"""Messages between the supervisor and a worker: a kind, a msgpack header and optionally a JSON payload.

Operations go to the worker, notices come from it. A header is a struct that is validated once, on arrival; payloads are
passed through unparsed. All messages about a conversation carry its id and incarnation, so that late messages of an
earlier process can be recognized.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.errors import ErrorKind, RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.internal.message import Message, pack, unpack
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

HEARTBEAT: Final = 2.0
"""Seconds between two heartbeats of a worker that is running a turn."""
FIRST_HEARTBEAT: Final = 0.25
"""Seconds from the beginning of a turn to the first heartbeat, so that `status` soon shows what it is doing."""

H = TypeVar("H", bound="Header")


class Header(Message):
    """Base of all headers. `wire` is the content of the kind frame."""

    wire: ClassVar[bytes]


class Addressed(Header):
    """A header that belongs to one incarnation of one conversation."""

    conversation_id: ConversationId
    incarnation: Incarnation


# Operations: supervisor to worker


class Open(Addressed):
    """Become this conversation. Payload: `{"cli": [...], "call": {...}}`, the settings of the command line and of the
    call."""

    wire: ClassVar[bytes] = b"open"

    user_agent: str
    """The user agent for the model's servers."""
    resume: Literal["no", "if-saved", "must"] = "no"
    """Whether to continue from a session file; `if-saved` for a conversation that may have died before it was saved."""
    path: str | None = None
    """The session file, if the caller named it; otherwise it is found by the conversation's id."""
    keep: bool = False
    """Whether to create the session file at once rather than with the first turn."""


class TurnSandbox(Message):
    """The sandbox of one turn, with the members of all policies (`greenroom.config.sandbox`)."""

    type: SandboxMode
    writable_roots: tuple[str, ...] = ()
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False


class TurnSettings(Message):
    """Settings of one turn that override those of its conversation."""

    cwd: str
    approval_policy: ApprovalPolicy
    sandbox_policy: TurnSandbox
    model: str
    summary: str
    effort: str | None = None
    """`None`: that of the conversation."""


class StartTurn(Addressed):
    """Run a turn. Payload: the input items as a JSON array."""

    wire: ClassVar[bytes] = b"turn"

    turn_id: TurnId
    settings: TurnSettings | None = None


class Steer(Addressed):
    """Add further input to the turn if it is still running. Payload: items, as in `StartTurn`."""

    wire: ClassVar[bytes] = b"steer"

    turn_id: TurnId
    input_id: TurnId
    """Identifies this input in `Steered`."""


class Compact(Addressed):
    """Replace the history by a summary, in a turn without input that ends like any other."""

    wire: ClassVar[bytes] = b"compact"

    turn_id: TurnId


class Interrupt(Addressed):
    """Abort the turn if it is running; it ends with `TurnEnded` like any other."""

    wire: ClassVar[bytes] = b"interrupt"

    turn_id: TurnId


class Decide(Addressed):
    """Deliver the outcome of a question. Outcomes of questions that are no longer open are ignored."""

    wire: ClassVar[bytes] = b"decide"

    question_id: int
    decision: Decision


class MeasureWorker(Header):
    """Report your resource figures at once, whatever else is running; answered with `WorkerMeasured`."""

    wire: ClassVar[bytes] = b"measure"


JobName: TypeAlias = Literal[
    "archive-session",
    "diff-to-remote",
    "list-sessions",
    "read-session",
    "run-command",
    "saved-config",
    "search-files",
    "set-default-model",
]


class RunJob(Header):
    """Run one job outside conversations, and report its end. Payload: the job, as a JSON object."""

    wire: ClassVar[bytes] = b"job"

    name: JobName


class StopJob(Header):
    """End the job with the results so far."""

    wire: ClassVar[bytes] = b"stop-job"


class Close(Header):
    """Abort what is running, kill every process of the conversation, save and exit."""

    wire: ClassVar[bytes] = b"close"


# Notices: worker to supervisor


class Ready(Header):
    """The worker is ready and connected to the broker; it waits for a conversation."""

    wire: ClassVar[bytes] = b"ready"

    worker_id: WorkerId
    pid: int


class Opened(Addressed):
    """The worker has loaded the conversation. Payload: its `session_configured` event."""

    wire: ClassVar[bytes] = b"opened"

    model: str
    cwd: str
    session_path: str
    title: str | None = None
    """The conversation's first words as a title; `None` if it has no message yet."""
    tokens: int = 0
    """Tokens used before."""


class OpenFailed(Addressed):
    """The conversation could not be opened. The supervisor then tells the worker to exit."""

    wire: ClassVar[bytes] = b"open-failed"

    error_kind: ErrorKind
    message: str


class Events(Addressed):
    """Events of one turn, in order. Payload: their JSON, separated by newlines."""

    wire: ClassVar[bytes] = b"events"

    turn_id: TurnId


class Heartbeat(Addressed):
    """A heartbeat with status; sent every `HEARTBEAT` seconds while a turn runs."""

    wire: ClassVar[bytes] = b"heartbeat"

    turn_id: TurnId
    doing: str
    """What it is doing, such as `waiting for the model`."""
    tokens: int
    """Tokens used by the conversation so far."""
    unsent_bytes: int
    """Bytes of events not yet taken by the supervisor."""
    step: str = ""
    """The step in progress, as in `Step`; empty while the model is working."""


class Step(Addressed):
    """A step of the turn has begun or ended; sent only to its client, at most a few times a second."""

    wire: ClassVar[bytes] = b"step"

    turn_id: TurnId
    text: str
    """Text for people: one line, at most 200 characters."""


class AskUser(Addressed):
    """Ask the client's user. Payload: the question (`greenroom.protocol.mcp.elicitation`). It is withdrawn when its
    turn ends."""

    wire: ClassVar[bytes] = b"ask"

    turn_id: TurnId
    question_id: int


class Steered(Addressed):
    """The running turn has received further input. Input that was not received before the turn ended gets a turn of its
    own."""

    wire: ClassVar[bytes] = b"steered"

    input_id: TurnId


class JobDone(Header):
    """The job has ended; the supervisor then tells the worker to exit. Payload: its result as JSON, empty if it
    failed."""

    wire: ClassVar[bytes] = b"job-done"

    failure: str | None = None
    """Why it failed, as text."""
    error_kind: ErrorKind | None = None


class TurnEnded(Addressed):
    """The end of a turn, sent exactly once, after its last event. Payload: the last agent message as a JSON string
    (`""` for none).

    A successful turn that could not be saved fails with the kind `session_unsaved`, and still has its payload.
    """

    wire: ClassVar[bytes] = b"turn-ended"

    turn_id: TurnId
    outcome: Literal["completed", "failed", "aborted"]
    error_kind: ErrorKind | None = None
    message: str | None = None
    """The error message, or the reason of the abort."""
    facts: dict[str, int] = msgspec.field(default_factory=dict)
    """Numbers about the failure (`greenroom.protocol.errors.GreenroomError.facts`)."""
    tokens: int = 0
    """Tokens used by the conversation so far."""
    open_commands: int = 0
    """Commands of the conversation that are still running."""
    unsaved: bool = False
    """Whether records of the conversation could not be written to its file."""


class CommandsEnded(Addressed):
    """Between two turns: the last running command has ended."""

    wire: ClassVar[bytes] = b"commands-ended"


class OwnZygote(Message):
    """The worker's own zygote, if it has one."""

    pid: int | None
    """`None` while there is none; the next command starts another one."""
    restarts: int
    """How often a lost one was replaced."""


class HelperLost(Header):
    """A zygote, or the monitor of a command, has died or was killed by the worker."""

    wire: ClassVar[bytes] = b"helper-lost"

    role: Literal["zygote", "guardian"]
    pid: int
    is_shared: bool
    """Whether the fork server reports its death as well, being its parent."""
    returncode: int
    """As in `subprocess`: the exit status, or minus the signal's number."""
    max_rss: int
    """Its maximum resident memory, in bytes; 0 if unknown."""
    cause: str | None = None
    """Why the worker killed it, as text, if it did."""


class WorkerMeasured(Header):
    """The worker's resource figures."""

    wire: ClassVar[bytes] = b"measured"

    footprint: Footprint
    unsent_bytes: int
    """Bytes of events not yet taken by the supervisor."""
    sandbox_limits: tuple[str, ...] = ()
    """What the sandbox of its commands cannot enforce on this system, or only at a cost."""
    zygote: OwnZygote | None = None
    """`None` if it has none of its own."""


Operation: TypeAlias = (
    Open | StartTurn | Steer | Compact | Interrupt | Decide | RunJob | StopJob | MeasureWorker | Close
)
Notice: TypeAlias = (
    Ready
    | Opened
    | OpenFailed
    | Events
    | Heartbeat
    | Step
    | AskUser
    | Steered
    | TurnEnded
    | CommandsEnded
    | JobDone
    | HelperLost
    | WorkerMeasured
)

OPERATIONS: Final[Mapping[bytes, type[Operation]]] = {
    kind.wire: kind
    for kind in (Open, StartTurn, Steer, Compact, Interrupt, Decide, RunJob, StopJob, MeasureWorker, Close)
}
NOTICES: Final[Mapping[bytes, type[Notice]]] = {
    kind.wire: kind
    for kind in (
        Ready,
        Opened,
        OpenFailed,
        Events,
        Heartbeat,
        Step,
        AskUser,
        Steered,
        TurnEnded,
        CommandsEnded,
        JobDone,
        HelperLost,
        WorkerMeasured,
    )
}


class ReceivedOperation(NamedTuple):
    """An operation as received."""

    operation: Operation
    payload: bytes


class ReceivedNotice(NamedTuple):
    """A notice as received."""

    notice: Notice
    payload: bytes


def frames(message: Operation | Notice, payload: bytes = b"") -> list[bytes]:
    """Return the frames of a message."""
    return [message.wire, pack(message), payload]


def read_operation(parts: Sequence[bytes]) -> ReceivedOperation:
    """Decode a message of the supervisor. Raises `RemoteProtocolError`."""
    wire, header, payload = _three(parts)
    return ReceivedOperation(unpack(_known(OPERATIONS, wire), header), payload)


def read_notice(parts: Sequence[bytes]) -> ReceivedNotice:
    """Decode a message of a worker. Raises `RemoteProtocolError`."""
    wire, header, payload = _three(parts)
    return ReceivedNotice(unpack(_known(NOTICES, wire), header), payload)


def _three(parts: Sequence[bytes]) -> tuple[bytes, bytes, bytes]:
    if len(parts) != 3:
        raise RemoteProtocolError(f"{len(parts)} frames in place of 3")
    return parts[0], parts[1], parts[2]


def _known(kinds: Mapping[bytes, type[H]], wire: bytes) -> type[H]:
    try:
        return kinds[wire]
    except KeyError:
        raise RemoteProtocolError(f"unknown kind {wire[:32]!r}") from None
