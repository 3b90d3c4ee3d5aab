"""Operations: what the supervisor tells a worker to do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from greenroom.protocol.approval import Decision
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.worker.header import Addressed, Header, known_kind, three_frames
from greenroom.protocol.message import Message, unpack
from greenroom.protocol.policy import ApprovalPolicy, Reviewer, SandboxMode
from greenroom.protocol.telemetry.trace_context import TraceContext


class Open(Addressed):
    """Become this conversation. Payload: `{"cli": [...], "call": {...}}`, what the server and the call were given."""

    wire: ClassVar[bytes] = b"open"

    user_agent: str
    """What the model's servers are told about this program and its client."""
    resume: Literal["no", "if-saved", "must"] = "no"
    """Whether to go on from a session file; `if-saved` for a conversation that may have died before it was saved."""
    path: str | None = None
    """The session file, where the caller named it; it is looked for by the conversation's id otherwise."""
    keep: bool = False
    """Whether the session file is to be there as soon as the conversation is, and not only once there is a turn."""
    ephemeral: bool = False
    """Whether nothing of the conversation is saved."""


class TurnSandbox(Message):
    """The sandbox of one turn, with the members of all policies (`greenroom.config.tables.sandbox`)."""

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
    steps: bool = False
    """As `SelectEvents` has it."""
    output_schema: bytes | None = None
    """JSON Schema that the agent's last message must fit, as JSON."""
    trace: TraceContext | None = None
    """The span that stands for the turn, of which model servers are told; `None` without tracing."""
    pursues_goal: bool = False
    """Whether the model is to go on with the goal of the conversation, in place of an input."""


class SelectEvents(Addressed):
    """Say which of what a turn may send has a use from now on; the rest is left out."""

    wire: ClassVar[bytes] = b"select-events"

    deltas: bool
    """`greenroom.protocol.choices.DELTA_EVENTS`."""
    steps: bool
    """`TurnStep`."""


class Steer(Addressed):
    """Put further input into the turn, if it is the one that runs. Payload: the items, as those of `StartTurn`."""

    wire: ClassVar[bytes] = b"steer"

    turn_id: TurnId
    input_id: TurnId
    """Names this input in `Steered` or `SteeringRefused`."""


class Compact(Addressed):
    """Replace the history by a summary, in a turn without input that ends as every turn does."""

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
    """Say at once how the turn stands, if one runs, and what you hold, with `Heartbeat` and `WorkerMeasured`."""

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
    """Cancel a request whose result is no longer needed."""

    wire: ClassVar[bytes] = b"withdraw"

    number: int


class TellJob(Header):
    """Tell the job under way something. Payload: what, as a JSON object (`greenroom.protocol.internal.jobs`)."""

    wire: ClassVar[bytes] = b"tell-job"


class Close(Header):
    """Abort what runs, end every process of the conversation, save and leave."""

    wire: ClassVar[bytes] = b"close"


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

OPERATIONS: Final[Mapping[bytes, type[Operation]]] = {kind.wire: kind for kind in get_args(Operation)}


class ReceivedOperation(NamedTuple):
    """An operation as it arrived."""

    operation: Operation
    payload: bytes


def read_operation(parts: Sequence[bytes]) -> ReceivedOperation:
    """Decode what the supervisor sent. Raises `RemoteProtocolError`."""
    wire, header, payload = three_frames(parts)
    return ReceivedOperation(unpack(known_kind(OPERATIONS, wire), header), payload)
