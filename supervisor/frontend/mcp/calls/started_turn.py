"""A turn that was started with `wait: false`: no call waits for its end, and it outlives its client."""

from collections.abc import Callable
from typing import Final

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import RequestId, encode
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.started_turns import FinishedTurn, StartedTurns
from greenroom.supervisor.conversations.state.turn import Absent, Client, ConversationTurn
from greenroom.supervisor.frontend.elicitation import request_params
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, Elicitation, Elicitor
from greenroom.supervisor.frontend.mcp.calls.handshake_call import worded


class StartedTurn:
    """The audience of one turn (`greenroom.supervisor.conversations.state.turn.Audience`)."""

    wants_deltas: Final = False
    wants_steps: Final = False

    def __init__(
        self,
        conversation_id: ConversationId,
        request_id: RequestId,
        client: Client,
        conversations: Conversations,
        started: StartedTurns,
        elicitor: Elicitor,
        unknown_text: str,
        on_end: Callable[["StartedTurn"], None],
        *,
        can_ask: bool,
    ) -> None:
        """`request_id` is that of the call that starts it; `can_ask` tells whether its client takes requests."""
        self.client = Absent(client)
        self.refused: Failure | None = None
        """Why the turn was not even queued."""
        self._conversation_id = conversation_id
        self._request_id = request_id
        self._conversations = conversations
        self._started = started
        self._elicitor = elicitor if can_ask else None
        self._waits = elicitor.waits
        self._unknown_text = unknown_text
        self._on_end = on_end
        self._turn: ConversationTurn | None = None
        self._questions: list[tuple[Elicitation, AnyQuestion]] = []

    def attach(self, turn: ConversationTurn) -> None:
        """Set the turn, which is queued or runs."""
        self._turn = turn
        self._started.begin()

    def lose_client(self) -> None:
        """Ask the client nothing any more. What it was asked is declined, unless it can be decided elsewhere."""
        self._elicitor = None
        for asked, question in self._questions:
            if self._waits(question):
                asked.withdraw("the client has left")
            else:
                asked.decline(CANNOT_ASK)
        self._questions.clear()

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events; what is said is read from the session file."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Ask the client that has started the turn, or decide at once where it cannot ask."""
        turn = self._turn
        if turn is None:
            return
        asked = None
        if self._elicitor is not None:
            params = request_params(question, form, self._request_id, turn.id, self._conversation_id)
            decide = self._conversations.questions.decide
            asked = self._elicitor.ask(params, lambda decision: decide(turn, question_id, decision))
        if asked is not None:
            self._questions.append((asked, question))
            self._conversations.questions.on_decided_elsewhere(turn, question_id, asked.decided_elsewhere)
        elif not self._waits(question):
            self._conversations.questions.decide(turn, question_id, CANNOT_ASK)

    def succeeded(self, last_message: bytes) -> None:
        """Keep the agent's last message."""
        self._end(last_message, None)

    def failed(self, failure: Failure) -> None:
        """Keep the failure."""
        self._end(encode(failure.answer or ""), worded(failure, self._unknown_text))

    def _end(self, last_message: bytes, failure: Failure | None) -> None:
        for asked, _ in self._questions:
            asked.withdraw("the turn has ended")
        self._questions.clear()
        turn, self._turn = self._turn, None  # breaks a reference cycle, as in `…handshake_call.ToolCall`
        if turn is None:
            self.refused = failure
            return
        self._started.end(FinishedTurn(turn.id, self._conversation_id, last_message, failure, turn.usage))
        self._on_end(self)
