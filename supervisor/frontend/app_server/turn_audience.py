"""The audiences of what a client says: of a turn that it begins, and of input for a running turn."""

import asyncio
from typing import Final

from greenroom.protocol.ids import TurnId
from greenroom.protocol.mcp.handshake import Failure
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.turn import Turn
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK


class AppTurn:
    """The audience of one turn (`greenroom.supervisor.conversations.turn.Audience`).

    What happens in it is told by the subscription of the client, which hears of its end right after this audience.
    """

    wants_deltas: Final = True

    def __init__(self, session: ThreadSession, conversations: Conversations) -> None:
        self.client = session.client
        self._session = session
        self._conversations = conversations
        self._turn: Turn | None = None
        self.refusal: Failure | None = None
        """Why the turn was not even queued, if it was not."""

    def attach(self, turn: Turn) -> None:
        """Set the turn of this audience."""
        self._turn = turn

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: bytes) -> None:
        """Decide a question."""
        del question
        if self._turn is not None:
            self._conversations.decide(self._turn, question_id, CANNOT_ASK)

    def succeeded(self, last_message: bytes) -> None:
        """Handle the end of the turn."""
        del last_message
        self._turn = None  # breaks a reference cycle: the turn refers to its audience

    def failed(self, failure: Failure) -> None:
        """Handle the failure of the turn."""
        turn, self._turn = self._turn, None
        if turn is None:
            self.refusal = failure
        else:
            self._session.failed(turn.id, failure)


class SteeringInput(AppTurn):
    """The audience of input for a running turn, which may become a turn of its own."""

    def __init__(self, session: ThreadSession, conversations: Conversations, running: TurnId) -> None:
        super().__init__(session, conversations)
        self._running = running
        self.accepted: asyncio.Future[TurnId | Failure] = asyncio.get_running_loop().create_future()
        """The turn that has taken the input, or the reason why none has."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take the first events of the turn that the input has become."""
        del events
        if turn_id:
            self._settle(turn_id)

    def succeeded(self, last_message: bytes) -> None:
        """Handle that the running turn has taken the input, or the end of the turn that it has become."""
        self._settle(self._running)
        super().succeeded(last_message)

    def failed(self, failure: Failure) -> None:
        """Handle that no turn has taken the input, or the failure of the turn that it has become."""
        self._settle(failure)
        super().failed(failure)

    def _settle(self, outcome: TurnId | Failure) -> None:
        if not self.accepted.done():
            self.accepted.set_result(outcome)
