"""One turn as the supervisor sees it: what to run, and who is told what becomes of it."""

from dataclasses import dataclass
from typing import Protocol

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.internal.worker import TurnSettings
from greenroom.protocol.mcp.handshake import Failure


class Audience(Protocol):
    """Whoever asked for a turn. Exactly one of `succeeded` and `failed` is called, as the last of all calls."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events of the turn, or of the conversation's start (`turn_id` is then empty), as a worker sent them."""

    def progress(self, doing: str) -> None:
        """Take a sign of life, which says what the worker does."""

    def asks(self, question_id: int, question: bytes) -> None:
        """Take a question for the user, to be answered with `Conversations.decide`; void once the turn has ended."""

    def succeeded(self, last_message: bytes) -> None:
        """Take the agent's last message, as a JSON string.

        Where the conversation was only to be opened it is its `session_configured` event, and where the turn was
        further input for a running one that has taken it in, it is empty.
        """

    def failed(self, failure: Failure) -> None:
        """Take why there is no answer."""


class TurnObserver(Protocol):
    """Whoever is told of everything in a conversation, whoever asked for its turns."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events, as `Audience.events` does and after it."""

    def turn_ended(self, turn_id: TurnId) -> None:
        """Take the end of a turn, begun or not, after its audience was told."""


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that waits or runs."""

    id: TurnId
    conversation_id: ConversationId
    items: bytes | None
    """The user's input as a JSON array of input items; nothing where it compacts, `None` where it only opens."""
    audience: Audience
    settings: TurnSettings | None = None
    """What it goes by instead of what the conversation does."""
    compacts: bool = False
    """Whether it shortens the history, in place of going on with it."""
    interrupted: bool = False
    """Whether somebody asked for its end."""


def aborted(reason: str) -> Failure:
    """Return the failure of a turn that was stopped on purpose."""
    return Failure("turn_aborted", f"Turn aborted: {reason}", {"reason": reason})
