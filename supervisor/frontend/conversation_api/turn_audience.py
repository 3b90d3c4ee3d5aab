"""The audiences of a client's message: of its turn, and of a conversation's start."""

import asyncio
from collections.abc import Callable
from typing import Final

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.approval import approval_request
from greenroom.supervisor.frontend.conversation_api.listener_buffer import ListenerBuffer
from greenroom.supervisor.frontend.elicitation import request_params
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, Elicitation, Elicitor, too_late


class ApiTurn:
    """The audience of one turn (`greenroom.supervisor.conversations.state.turn.Audience`). Events go to the buffer."""

    wants_deltas: Final = False
    wants_steps: Final = False

    def __init__(
        self,
        conversation_id: ConversationId,
        buffer: ListenerBuffer,
        elicitor: Elicitor,
        conversations: Conversations,
    ) -> None:
        self.client: ClientChannel = elicitor.channel
        self._conversation_id = conversation_id
        self._buffer = buffer
        self._elicitor = elicitor
        self._conversations = conversations
        self._number = buffer.count_submission()
        self._turn: ConversationTurn | None = None
        self._ended = False
        self._questions: list[Elicitation] = []
        self._unheard: dict[int, asyncio.TimerHandle] = {}
        """The deadlines of questions that no client has received yet, by their numbers."""

    def attach(self, turn: ConversationTurn) -> None:
        """Set the turn of this audience."""
        if not self._ended:
            self._turn = turn
            self._buffer.expect(turn.id, self._number)

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events; the buffer has them already."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ask the client once it subscribes; where it does not in time the answer is no."""
        turn = self._turn
        if turn is None:
            return

        def expire() -> None:
            del self._unheard[question_id]
            self._conversations.questions.decide(turn, question_id, too_late(self._elicitor.timeout))

        def withdraw(_: Decision) -> None:
            unheard = self._unheard.pop(question_id, None)
            if unheard is not None:
                unheard.cancel()

        self._conversations.questions.on_decided_elsewhere(turn, question_id, withdraw)
        self._unheard[question_id] = asyncio.get_running_loop().call_later(self._elicitor.timeout, expire)
        self._buffer.ask(lambda: self._put(question_id, question, form))

    def succeeded(self, last_message: bytes) -> None:
        """Handle the end of the turn."""
        del last_message
        self._end()

    def failed(self, failure: Failure) -> None:
        """Report the failure of the turn, unless a worker has done so."""
        self._buffer.fail(self._number, None if self._turn is None else self._turn.id, failure)
        self._end()

    def _put(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        turn = self._turn
        unheard = self._unheard.pop(question_id, None)
        if turn is None or self._ended or unheard is None:
            return
        unheard.cancel()

        def decided(decision: Decision) -> None:
            self._buffer.count_submission()
            self._conversations.questions.decide(turn, question_id, decision)

        request = approval_request(question, form, self._conversation_id)
        if request is not None:
            asked: Elicitation | None = self._elicitor.put(*request, decided)
        else:
            params = request_params(question, form, self._number, self._number, self._conversation_id)
            asked = self._elicitor.ask(params, decided)
        if asked is not None:
            self._questions.append(asked)
            self._conversations.questions.on_decided_elsewhere(turn, question_id, asked.decided_elsewhere)
        elif not self._elicitor.waits(question):
            self._conversations.questions.decide(turn, question_id, CANNOT_ASK)

    def _end(self) -> None:
        self._ended = True
        for deadline in self._unheard.values():
            deadline.cancel()
        self._unheard.clear()
        for question in self._questions:
            question.withdraw("the turn has ended")
        self._questions.clear()
        if self._turn is not None:
            self._buffer.forget(self._turn.id)
            self._turn = None  # breaks a reference cycle: the turn refers to its audience


class OpeningAudience:
    """The audience of a conversation's start: calls one of two functions with its outcome."""

    wants_deltas: Final = False
    wants_steps: Final = False

    def __init__(
        self, client: ClientChannel, on_opened: Callable[[bytes], None], on_failed: Callable[[Failure], None]
    ) -> None:
        self.client = client
        self._on_opened = on_opened
        self._on_failed = on_failed

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events; the buffer has them already."""
        del turn_id, events

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ignore a question; there is none before the first turn."""

    def succeeded(self, last_message: bytes) -> None:
        """Receive the event by which the conversation announced itself."""
        self._on_opened(last_message)

    def failed(self, failure: Failure) -> None:
        """Receive the reason why it did not start."""
        self._on_failed(failure)
