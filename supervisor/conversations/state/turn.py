"""One turn as the supervisor sees it: its input, and the audience of its events and result."""

import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.protocol.spending import Spending
from greenroom.protocol.telemetry.timings import OpenPart, Timing
from greenroom.protocol.telemetry.trace_context import TraceContext

CallKind: TypeAlias = Literal["turn", "steer", "compact", "command"]
"""What a client has asked for: a turn, more input for the running one, a compaction, or a command of the user."""


class Client(Protocol):
    """A client as the conversations know it: those of its turns and listeners that bear it are its own."""

    @property
    def is_reading(self) -> bool:
        """Whether it reads what it is sent; conversations that it listens to are held back while it does not."""

    @property
    def user_agent(self) -> str:
        """The user agent for the model's servers, where a conversation is opened for this client."""


class UserCommand(NamedTuple):
    """A command of the user."""

    script: str
    timeout_ms: int | None
    """`None`: an hour."""


class TurnUsage(NamedTuple):
    """What a turn has used, and its conversation so far."""

    turn: Spending
    conversation: Spending


class Audience(Protocol):
    """The caller of a turn. Exactly one of `succeeded` and `failed` is called, after all other calls."""

    @property
    def client(self) -> Client:
        """The client that the caller belongs to."""

    @property
    def wants_deltas(self) -> bool:
        """Whether it has a use for `greenroom.protocol.choices.DELTA_EVENTS`; where another has, they come anyway."""

    @property
    def wants_steps(self) -> bool:
        """Whether it has a use for each step of the turn, in `progress`; signs of life come in any case."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Receive events of the turn, or of the conversation's start (`turn_id` is then empty), unchanged."""

    def progress(self, doing: str) -> None:
        """Receive a sign of life, with a text that says what the worker does."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Receive a question for the user, answered by `OpenQuestions.decide`; void once the turn has ended.

        `form` is that of the conversation's events.
        """

    def succeeded(self, last_message: bytes) -> None:
        """Receive the agent's last message, as a JSON string.

        Where the conversation was only to be opened it is its event `session_configured`; where the turn was further
        input that the running turn has accepted, it is empty.
        """

    def failed(self, failure: Failure) -> None:
        """Receive the reason why there is no answer."""


class TurnObserver(Protocol):
    """A listener of all events of a conversation, independent of the callers of its turns."""

    @property
    def client(self) -> Client:
        """The client that listens."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Receive events, as `Audience.events` does and after it."""

    def turn_ended(self, turn_id: TurnId) -> None:
        """Receive the end of a turn, begun or not, after its audience."""


Onlooker: TypeAlias = Callable[[bytes], None]
"""Receives the events of a conversation, one a line, without being one of its clients: it neither holds the
conversation back nor keeps it."""


class Moment(NamedTuple):
    """A point in time."""

    at: float
    """Seconds since the epoch."""
    clock: float
    """Seconds of a clock that only grows."""

    @classmethod
    def now(cls) -> "Moment":
        """Return the present one."""
        return cls(time.time(), time.monotonic())

    @property
    def age(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self.clock


class CallOrigin(NamedTuple):
    """What is known of the call that asks for a turn, for traces."""

    method: str
    """The method of the protocol, such as `tools/call`."""
    tool: str = ""
    """The tool that is called, if it is one."""
    request_id: str = ""
    trace: TraceContext | None = None
    """The span of the client, if it has named one."""


UNKNOWN_CALL = CallOrigin("turn")


class TurnProbe(Protocol):
    """Is told of the life of every turn, for metrics and traces. None of the methods raises."""

    def accepted(self, turn: "ConversationTurn") -> None:
        """A client has asked for a turn, which now waits, or is refused at once."""

    def started(self, turn: "ConversationTurn", incarnation: Incarnation) -> TraceContext | None:
        """A turn is about to be sent to the worker of this incarnation; return its span there, if it has one."""

    def timed(
        self, turn: "ConversationTurn", timings: Sequence[Timing], dropped: int, open_parts: Sequence[OpenPart]
    ) -> None:
        """A worker has told what parts of the running turn have taken; so many others it could not keep.

        `open_parts` are those that had not ended.
        """

    def ended(self, turn: "ConversationTurn", failure: Failure | None) -> None:
        """A turn has ended, whether it had begun or not; its audience is told afterwards."""


class Absent:
    """The client of a turn that no connection waits for: it reads nothing, holds up no other, and never leaves."""

    is_reading = True

    def __init__(self, begun_by: Client) -> None:
        """`begun_by` is the client that has asked for the turn, or its stand-in."""
        self.user_agent = begun_by.user_agent
        self.begun_by: Client = begun_by.begun_by if isinstance(begun_by, Absent) else begun_by


class Nobody:
    """The client, and the audience, of a turn whose client has left."""

    is_reading = True
    user_agent = ""
    wants_deltas = False
    wants_steps = False

    @property
    def client(self) -> Client:
        """Itself."""
        return self

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ignore a question: the turn is being interrupted."""

    def succeeded(self, last_message: bytes) -> None:
        """Ignore the end; the turn has been answered."""

    def failed(self, failure: Failure) -> None:
        """Ignore the end; the turn has been answered."""


class ConversationTurn(msgspec.Struct, eq=False):
    """A turn that waits or runs."""

    id: TurnId
    conversation_id: ConversationId
    items: bytes | None
    """The user's input as a JSON array of items; empty for a compaction and a command, `None` where it only opens."""
    audience: Audience
    settings: TurnSettings | None = None
    """Settings that override those of the conversation."""
    output_schema: bytes | None = None
    """JSON Schema that the agent's last message must fit, as JSON."""
    compacts: bool = False
    """Whether it summarizes the history instead of continuing it."""
    pursues_goal: bool = False
    """Whether the model goes on with the goal of the conversation, in place of an input."""
    user_command: UserCommand | None = None
    """A command that the user runs in place of a turn of the model."""
    interrupted: bool = False
    """Whether it has been interrupted."""
    abandoned: bool = False
    """Whether its client has left, which has been answered."""
    usage: TurnUsage | None = None
    """What it has used; set before its audience is told of its end, where models have prices."""
    kind: CallKind = "turn"
    origin: CallOrigin = UNKNOWN_CALL
    """The call that asks for it."""
    probes: Sequence[TurnProbe] = ()
    """They are told of its life; none is where it only opens."""
    accepted_at: Moment | None = None
    """When a client has asked for it."""
    started_at: Moment | None = None
    """When it was sent to a worker for the first time."""
    has_asked: bool = False
    """Whether its worker has reported a model request."""

    def accept(self, probes: Sequence[TurnProbe]) -> None:
        """Let `probes` be told of its life from now on."""
        self.probes, self.accepted_at = probes, Moment.now()
        for probe in probes:
            probe.accepted(self)

    def start(self, incarnation: Incarnation) -> TraceContext | None:
        """Note that it is about to be sent to a worker; return the span that stands for it there, if there is one."""
        spans = [probe.started(self, incarnation) for probe in self.probes]
        self.started_at = self.started_at or Moment.now()
        return next((span for span in spans if span is not None), None)

    def time(self, timings: Sequence[Timing], dropped: int = 0, open_parts: Sequence[OpenPart] = ()) -> None:
        """Note what parts of it have taken, how many others are not known, and which have not ended."""
        for probe in self.probes:
            probe.timed(self, timings, dropped, open_parts)

    def succeed(self, last_message: bytes) -> None:
        """End it for its audience, as `Audience.succeeded` has it."""
        for probe in self.probes:
            probe.ended(self, None)
        self.audience.succeeded(last_message)

    def fail(self, failure: Failure) -> None:
        """End it for its audience, which gets no answer."""
        for probe in self.probes:
            probe.ended(self, failure)
        self.audience.failed(failure)

    def abandon(self, failure: Failure) -> None:
        """End the turn for its client, which leaves, before the worker has ended it."""
        self.abandoned = True
        audience, self.audience = self.audience, Nobody()
        audience.failed(failure)


def aborted(reason: str) -> Failure:
    """Return the failure of a turn that was interrupted."""
    return Failure("turn_aborted", f"Turn aborted: {reason}", {"reason": reason})
