"""Tool calls without a handshake (MCP 2026-07-28), which may take several rounds: a question to the user is a result.

The request that is answered with a question has ended, but its turn waits in its worker. The client makes the call
again with the user's answers and the state that came with the question, on this connection or on another; that request
then waits for the end of the turn, or for its next question. A question without an answer in time is declined, as in
the other eras, and the turn continues without a request; its outcome is kept for a while for a later one.
"""

import logging
import time
from collections.abc import Callable

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request
from greenroom.protocol.mcp.handshake import ProgressToken, failure_result
from greenroom.protocol.mcp.request_state import CallState, StateError, fingerprint, seal, unseal
from greenroom.protocol.mcp.stateless import RequestEnvelope, RoundParams, input_required_result
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall
from greenroom.supervisor.frontend.mcp.calls.parted_calls import PartedCalls
from greenroom.supervisor.frontend.mcp.calls.relayed_requests import RelayedRequests
from greenroom.supervisor.frontend.mcp.calls.tasks import Tasks

log = logging.getLogger(__name__)


class MultiRoundCalls:
    """The calls of one connection that came without a handshake."""

    def __init__(
        self,
        channel: ClientChannel,
        conversations: Conversations,
        tasks: Tasks,
        parted: PartedCalls,
        elicitor: Elicitor,
        state_key: Callable[[], bytes],
        on_answered: Callable[[Request], None],
        relayed: RelayedRequests,
    ) -> None:
        """`parted` are the calls of all connections that wait for their next round.

        `elicitor` knows how questions are handled; `on_answered` is called with each request that was answered;
        `relayed` takes those whose call waits in another host.
        """
        self.client = channel
        self.timeout_s = elicitor.timeout
        self.waits = elicitor.waits
        self.decide = conversations.questions.decide
        self.on_decided_elsewhere = conversations.questions.on_decided_elsewhere
        self.worktree_of = conversations.worktree_of
        self.watch = tasks.watch
        self._state_key = state_key
        self._on_answered = on_answered
        self._parted = parted
        self._relayed = relayed

    @property
    def parted(self) -> int:
        """Number of calls of this client that wait for their next round."""
        return self._parted.of(self.client)

    def begin(
        self,
        request: Request,
        envelope: RequestEnvelope,
        params: RoundParams,
        conversation: ConversationId,
        unknown_text: str,
    ) -> MultiRoundCall:
        """Return a call in its first round. `unknown_text` is for a conversation that does not exist."""
        call = MultiRoundCall(self, conversation, fingerprint(params.name, bytes(params.arguments)), unknown_text)
        call.take_up(request, envelope, params.progress_token)
        return call

    def resume(
        self, request: Request, envelope: RequestEnvelope, params: RoundParams, text: str
    ) -> MultiRoundCall | None:
        """Return the call that a request continues; where it is not here, the request is answered or passed on."""
        try:
            state = self._unseal(params, text)
        except StateError as error:
            log.warning("a request state is refused: %s", error)
            self._refuse(request)
            return None
        call = self._parted.take(state.call)
        if call is not None:
            call.move_to(self)
            call.take_up(request, envelope, params.progress_token)
        elif state.run == runs.THIS:
            self._refuse(request)
        elif not self._relayed.take(request, state.run):
            self.client.respond(request, _of_another_run(state))
        return call

    def tell(self, request: Request, token: ProgressToken, signs: int, doing: str) -> None:
        """Send a sign of life for a request that waits."""
        params = {"progressToken": token, "progress": signs, "message": doing}
        self.client.notify_about(request.id, "notifications/progress", params)

    def part(self, call: MultiRoundCall, request: Request) -> None:
        """Answer a request with the questions of its call, which waits for the next round."""
        expires = time.time() + 2 * self.timeout_s
        state = CallState(call.id, call.conversation_id, call.fingerprint, runs.THIS, expires)
        self._parted.enter(call, self.client)
        self.answer(request, input_required_result(call.questions, seal(state, self._state_key())))

    def answer(self, request: Request, result: bytes) -> None:
        """Answer a request."""
        self.client.respond(request, result)
        self._on_answered(request)

    def keep(self, call: MultiRoundCall) -> None:
        """Keep the outcome of a turn that no request waits for."""
        self._parted.keep(call, self.timeout_s)

    def leave(self) -> None:
        """Let the calls that wait for their next round go on without this connection."""
        self._parted.disown(self.client)

    def _unseal(self, params: RoundParams, state: str) -> CallState:
        try:
            request = fingerprint(params.name, bytes(params.arguments))
        except (msgspec.MsgspecError, RecursionError):
            raise StateError("its arguments are no JSON") from None
        return unseal(state, request, self._state_key(), time.time())

    def _refuse(self, request: Request) -> None:
        facts = {"reason": "invalid_request_state"}
        self.client.fail(request, INVALID_PARAMS, "Invalid or expired requestState", facts)


def _of_another_run(state: CallState) -> bytes:
    """Return the result for a call that waits, or waited, in another run of the server."""
    if runs.lasts(state.run):
        text = f"Codex runtime error: the call waits in another process of the server ({runs.name(state.run)})."
        return failure_result(Failure("session_busy", text), state.conversation_id)
    return failure_result(runs.interrupted("while the call waited for its user"), state.conversation_id)
