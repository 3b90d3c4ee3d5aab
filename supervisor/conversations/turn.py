"""One turn as the supervisor sees it: its input, and the audience of its events and result."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.internal.worker import TurnSettings
from greenroom.protocol.spending import Spending


class Client(Protocol):
    """A client as the conversations know it: those of its turns and listeners that bear it are its own."""

    @property
    def is_reading(self) -> bool:
        """Whether it reads what it is sent; conversations that it listens to are held back while it does not."""

    @property
    def user_agent(self) -> str:
        """The user agent for the model's servers, where a conversation is opened for this client."""


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

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Receive events of the turn, or of the conversation's start (`turn_id` is then empty), unchanged."""

    def progress(self, doing: str) -> None:
        """Receive a sign of life, with a text that says what the worker does."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Receive a question for the user, answered by `Conversations.decide`; void once the turn has ended.

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


class Absent:
    """The client of a turn that no connection waits for: it reads nothing, holds up no other, and never leaves."""

    is_reading = True

    def __init__(self, user_agent: str) -> None:
        self.user_agent = user_agent


class Nobody:
    """The client, and the audience, of a turn whose client has left."""

    is_reading = True
    user_agent = ""
    wants_deltas = False

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


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that waits or runs."""

    id: TurnId
    conversation_id: ConversationId
    items: bytes | None
    """The user's input as a JSON array of items; empty for a compaction, `None` where it only opens."""
    audience: Audience
    settings: TurnSettings | None = None
    """Settings that override those of the conversation."""
    output_schema: bytes | None = None
    """JSON Schema that the agent's last message must fit, as JSON."""
    compacts: bool = False
    """Whether it summarizes the history instead of continuing it."""
    interrupted: bool = False
    """Whether it has been interrupted."""
    abandoned: bool = False
    """Whether its client has left, which has been answered."""
    usage: TurnUsage | None = None
    """What it has used; set before its audience is told of its end, where models have prices."""

    def abandon(self, failure: Failure) -> None:
        """End the turn for its client, which leaves, before the worker has ended it."""
        self.abandoned = True
        audience, self.audience = self.audience, Nobody()
        audience.failed(failure)


def aborted(reason: str) -> Failure:
    """Return the failure of a turn that was interrupted."""
    return Failure("turn_aborted", f"Turn aborted: {reason}", {"reason": reason})
