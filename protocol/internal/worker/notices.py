"""Notices: what a worker tells the supervisor."""

import struct
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from greenroom.protocol.choices import EventForm
from greenroom.protocol.errors import ErrorKind, RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.worker.header import Addressed, Header, known_kind, message_frames, three_frames
from greenroom.protocol.message import Message, unpack
from greenroom.protocol.spending import Spending
from greenroom.protocol.telemetry.timings import OpenPart, Timing

HEARTBEAT: Final = 2.0
"""Seconds between two signs of life of a worker that runs a turn."""


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
    """What the turn is in the middle of, as `TurnStep` told it; empty where that is the model's doing."""


class Heartbeat(Addressed):
    """A sign of life, and what it shows: every `HEARTBEAT` seconds while a turn runs, and before `WorkerMeasured`."""

    wire: ClassVar[bytes] = b"heartbeat"

    turn_id: TurnId
    progress: TurnProgress
    tokens: int
    """Tokens that the conversation has used so far."""
    timings: tuple[Timing, ...] = ()
    """What is complete since the last message that told any."""
    open_parts: tuple[OpenPart, ...] = ()
    """What is under way, where spans are made of it: there is no other way to know of it once the worker has died."""


class TurnStep(Addressed):
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


WorkerNotice: TypeAlias = (
    Ready
    | Opened
    | OpenFailed
    | Heartbeat
    | TurnStep
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

NOTICES: Final[Mapping[bytes, type[WorkerNotice]]] = {kind.wire: kind for kind in get_args(WorkerNotice)}


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

    notice: WorkerNotice
    payload: bytes
    order: NoticeOrder


_order: Final = struct.Struct(">QQ")


def notice_frames(notice: WorkerNotice, payload: bytes, order: NoticeOrder) -> list[bytes]:
    """Return the frames of a notice."""
    return [*message_frames(notice, payload), _order.pack(*order)]


def read_notice(parts: Sequence[bytes]) -> ReceivedNotice:
    """Decode what a worker sent. Raises `RemoteProtocolError`."""
    wire, header, payload = three_frames(parts[:3])
    if len(parts) != 4 or len(parts[3]) != _order.size:
        raise RemoteProtocolError("a notice that does not say where it belongs among the events")
    return ReceivedNotice(unpack(known_kind(NOTICES, wire), header), payload, NoticeOrder(*_order.unpack(parts[3])))
