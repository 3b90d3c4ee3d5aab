"""A tool call that starts no turn: further input for a running one, or the request to compact."""

from collections.abc import Callable
from typing import Final

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.protocol.mcp.handshake import failure_result
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK


class SteerCall:
    """Answers its request once, as the input's audience (`greenroom.supervisor.conversations.state.turn.Audience`)."""

    wants_deltas: Final = False
    wants_steps: Final = False

    def __init__(
        self,
        request: Request,
        conversation_id: ConversationId,
        done: str,
        channel: ClientChannel,
        conversations: Conversations,
        waits: Callable[[AnyQuestion], bool],
    ) -> None:
        """`done` is the text of a successful result; `waits` tells which questions can be decided elsewhere."""
        self._waits = waits
        self.turn: ConversationTurn | None = None
        """Until it has ended, as in `greenroom.supervisor.frontend.mcp.calls.handshake_call.ToolCall`."""
        self._request = request
        self._conversation_id = conversation_id
        self._done = done
        self.client = channel
        self._conversations = conversations

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events; the call that the turn belongs to gets them."""

    def progress(self, doing: str) -> None:
        """Ignore a sign of life."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:  # noqa: ARG002
        """Decline, unless it can be decided elsewhere: this call cannot be asked."""
        if self.turn is not None and not self._waits(question):
            self._conversations.questions.decide(self.turn, question_id, CANNOT_ASK)

    def succeeded(self, last_message: bytes) -> None:  # noqa: ARG002
        """Answer that it is done."""
        content = [{"type": "text", "text": self._done}]
        result = {"content": content, "structuredContent": {"threadId": self._conversation_id}}
        self._answer(encode(result))

    def failed(self, failure: Failure) -> None:
        """Answer with the reason why it is not done."""
        self._answer(failure_result(failure, self._conversation_id))

    def _answer(self, result: bytes) -> None:
        self.turn = None
        self.client.respond(self._request, result)
