"""A tool call that puts something into a conversation and holds no turn: further input, or an order to compact."""

from collections.abc import Callable

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import Peer, Request, encode
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.protocol.mcp.handshake import Failure, failure_result
from greenroom.supervisor.conversations.turn import Turn
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK


class SteerCall:
    """The audience of what was put in (`greenroom.supervisor.conversations.turn.Audience`); answers its request
    once."""

    def __init__(
        self,
        request: Request,
        conversation_id: ConversationId,
        done: str,
        peer: Peer,
        write: Callable[[bytes], None],
        on_decision: Callable[[Turn, int, Decision], None],
    ) -> None:
        """`done` says in words what has happened once it has."""
        self.turn: Turn | None = None
        """Until it has ended, as in `greenroom.supervisor.frontend.mcp.handshake_call.ToolCall`."""
        self._request = request
        self._conversation_id = conversation_id
        self._done = done
        self._peer = peer
        self._write = write
        self._on_decision = on_decision

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events; the call whose turn it is gets them."""

    def progress(self, doing: str) -> None:
        """Take a sign of life."""

    def asks(self, question_id: int, question: bytes) -> None:  # noqa: ARG002
        """Answer with no: this call came to say something, not to be asked."""
        if self.turn is not None:
            self._on_decision(self.turn, question_id, CANNOT_ASK)

    def succeeded(self, last_message: bytes) -> None:  # noqa: ARG002
        """Say that it is done."""
        content = [{"type": "text", "text": self._done}]
        result = {"content": content, "structuredContent": {"threadId": self._conversation_id}}
        self._answer(encode(result))

    def failed(self, failure: Failure) -> None:
        """Say why it is not done."""
        self._answer(failure_result(failure))

    def _answer(self, result: bytes) -> None:
        self.turn = None
        self._write(self._peer.respond(self._request, result))
