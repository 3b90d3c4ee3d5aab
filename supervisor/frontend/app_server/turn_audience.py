"""The audiences of what a client says: of a turn that it begins, and of input for a running turn."""

import asyncio
import time
from typing import Final

from greenroom.protocol.app_server.questions import ServerElicitation
from greenroom.protocol.app_server.thread import ActiveFlag
from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import TurnId
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.app_server.forms.question_form import question_request
from greenroom.supervisor.frontend.app_server.questions import Questions, SentQuestion
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession

REFUSING: Final = frozenset({"denied", "abort"})
"""Verdicts after which what was asked for does not happen."""


class AppTurn:
    """The audience of one turn (`greenroom.supervisor.conversations.state.turn.Audience`).

    What happens in it is told by the subscription of the client, which is told of its end right after this audience.
    """

    wants_deltas: Final = True
    wants_steps: Final = False

    def __init__(self, session: ThreadSession, conversations: Conversations, questions: Questions) -> None:
        self.client = session.client
        self._session = session
        self._conversations = conversations
        self._questions = questions
        self._asked: dict[int, SentQuestion] = {}
        """The open questions, by their numbers."""
        self._turn: ConversationTurn | None = None
        self.refusal: Failure | None = None
        """Why the turn was not even queued, if it was not."""

    def attach(self, turn: ConversationTurn) -> None:
        """Set the turn of this audience."""
        self._turn = turn

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ask the client's user."""
        del form
        turn = self._turn
        if turn is None:
            return
        request = question_request(question, self._session.id, turn.id, round(time.time() * 1000))

        def decided(decision: Decision) -> None:
            del self._asked[question_id]
            self._tell_waiting()
            self._pass_on(turn, question_id, question, decision)

        self._asked[question_id] = self._questions.put(request, decided)
        self._conversations.questions.on_decided_elsewhere(
            turn, question_id, lambda decision: self._decided_elsewhere(turn, question_id, question, decision)
        )
        self._tell_waiting()

    def succeeded(self, last_message: bytes) -> None:
        """Handle the end of the turn."""
        del last_message
        self._end()

    def failed(self, failure: Failure) -> None:
        """Handle the failure of the turn."""
        turn = self._end()
        if turn is None:
            self.refusal = failure
        else:
            self._session.failed(turn.id, failure)

    def _pass_on(self, turn: ConversationTurn, question_id: int, question: AnyQuestion, decision: Decision) -> None:
        self._note_refusal(turn, question, decision)
        self._conversations.questions.decide(turn, question_id, decision)

    def _decided_elsewhere(
        self, turn: ConversationTurn, question_id: int, question: AnyQuestion, decision: Decision
    ) -> None:
        asked = self._asked.pop(question_id, None)
        if asked is not None:
            self._questions.withdraw(asked)
            self._tell_waiting()
            self._note_refusal(turn, question, decision)

    def _note_refusal(self, turn: ConversationTurn, question: AnyQuestion, decision: Decision) -> None:
        if decision.verdict in REFUSING and (call_id := getattr(question, "call_id", None)) is not None:
            self._session.declined(turn.id, call_id)

    def _tell_waiting(self) -> None:
        kinds = {isinstance(asked.question, ServerElicitation) for asked in self._asked.values()}
        flags: list[ActiveFlag] = []
        if False in kinds:
            flags.append("waitingOnApproval")
        if True in kinds:
            flags.append("waitingOnUserInput")
        self._session.waits(flags)

    def _end(self) -> ConversationTurn | None:
        for asked in self._asked.values():
            self._questions.withdraw(asked)
        self._asked.clear()
        turn, self._turn = self._turn, None  # breaks a reference cycle: the turn refers to its audience
        return turn


class SteeringAudience(AppTurn):
    """The audience of input for a running turn, which may become a turn of its own."""

    def __init__(
        self, session: ThreadSession, conversations: Conversations, questions: Questions, running: TurnId
    ) -> None:
        super().__init__(session, conversations, questions)
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
