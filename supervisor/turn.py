"""One turn as the supervisor sees it: what to run, and who is told what becomes of it."""

from dataclasses import dataclass
from typing import Protocol

from protocol.ids import ConversationId, TurnId
from protocol.mcp import Failure


class Audience(Protocol):
    """Whoever asked for a turn. Exactly one of `succeeded` and `failed` is called, as the last of all calls."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events of the turn, or of the conversation's start (`turn_id` is then empty), as a worker sent them."""

    def progress(self, doing: str) -> None:
        """Take a sign of life, which says what the worker does."""

    def asks(self, question_id: int, question: bytes) -> None:
        """Take a question for the user, to be answered with `Conversations.decide`; void once the turn has ended."""

    def succeeded(self, last_message: bytes) -> None:
        """Take the agent's last message, as a JSON string."""

    def failed(self, failure: Failure) -> None:
        """Take why there is no answer."""


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that waits or runs."""

    id: TurnId
    conversation_id: ConversationId
    items: bytes
    """The user's input as a JSON array of input items; nothing where it compacts."""
    audience: Audience
    compacts: bool = False
    """Whether it shortens the history, in place of going on with it."""
    interrupted: bool = False
    """Whether somebody asked for its end."""


def aborted(reason: str) -> Failure:
    """Return the failure of a turn that was stopped on purpose."""
    return Failure("turn_aborted", f"Turn aborted: {reason}", {"reason": reason})
