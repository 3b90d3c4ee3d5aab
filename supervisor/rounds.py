"""Tool calls without a handshake (MCP 2026-07-28), which may take several rounds: a question to the user is a result.

The request that is answered with a question has ended, but its turn waits in its worker. The client makes the call
again with the user's answers and the state that came with the question; that request then waits for the end of the
turn, or for its next question. A question that nobody answers in time is answered with no, as in the other eras, and
the turn goes on unheard; whoever asks for it later still gets what came of it, for a while.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from protocol.elicitation import Decision, mode_of, read_answer, request_params
from protocol.ids import ConversationId, TurnId, uuid7
from protocol.jsonrpc import INVALID_PARAMS, Request, notification_line
from protocol.mcp import ElicitationMode, Failure, ProgressToken, failure_result, success_result
from protocol.mcp_peer import McpPeer
from protocol.modern import RoundParams, input_required_result
from protocol.request_state import CallState, StateError, fingerprint, seal, unseal
from supervisor.calls import result_of
from supervisor.elicitor import CANNOT_ASK, TOO_LATE
from supervisor.status import identity
from supervisor.turn import Turn

log = logging.getLogger(__name__)

KEPT_RESULTS = 100
"""Results that nobody waited for and that are kept at a time."""


class _Question(NamedTuple):
    """A question that is open."""

    params: bytes
    """What `elicitation/create` says, as JSON."""
    decide: Callable[[Decision], None]
    deadline: asyncio.TimerHandle


class RoundCall:
    """The audience of one turn (`supervisor.turn.Audience`) over all rounds of its call."""

    def __init__(self, rounds: "Rounds", conversation_id: ConversationId, request: str, unknown_text: str) -> None:
        self.id = uuid7()
        self.conversation_id = conversation_id
        self.fingerprint = request
        self.turn: Turn | None = None
        self.result: bytes | None = None
        """What came of the turn, once it has ended."""
        self._rounds = rounds
        self._unknown_text = unknown_text
        self._request: Request | None = None
        self._progress_token: ProgressToken = None
        self._signs = 0
        self._questions: dict[str, _Question] = {}

    @property
    def request(self) -> Request | None:
        """The request that waits for the turn, `None` between two rounds."""
        return self._request

    def take_up(self, request: Request, progress_token: ProgressToken) -> None:
        """Let a request wait for the turn."""
        self._request, self._progress_token, self._signs = request, progress_token, 0

    def proceed(self, answers: Mapping[str, msgspec.Raw]) -> None:
        """Take the user's answers; those to questions that are not open mean nothing."""
        for key, question in list(self._questions.items()):
            if key in answers:
                self._close(key)
                question.decide(read_answer(bytes(answers[key])))
        self._speak()

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events; in this era there is no notification for them."""

    def progress(self, doing: str) -> None:
        """Tell a client that asked for it that the call goes on, and what is being done."""
        if self._request is not None and self._progress_token is not None:
            self._signs += 1
            params = {"progressToken": self._progress_token, "progress": self._signs, "message": doing}
            self._rounds.write(notification_line("notifications/progress", params))

    def asks(self, question_id: int, question: bytes) -> None:
        """Put a question to the client's user with the result of this round, or the next one."""
        turn = self.turn
        if turn is None:
            return

        def decide(decision: Decision) -> None:
            self._rounds.on_decision(turn, question_id, decision)

        key = f"approval-{question_id}"
        params = request_params(question, self.id, turn.id, self.conversation_id)
        timer = asyncio.get_running_loop().call_later(self._rounds.patience, self._expire, key)
        self._questions[key] = _Question(params, decide, timer)
        self._speak()

    def succeeded(self, last_message: bytes) -> None:
        """Take the agent's last message."""
        self._end(success_result(self.conversation_id, last_message))

    def failed(self, failure: Failure) -> None:
        """Take what went wrong."""
        self._end(result_of(failure, self.conversation_id, self._unknown_text))

    def _end(self, result: bytes) -> None:
        for key in list(self._questions):
            self._close(key)
        self.result = result
        if self._request is None:
            self._rounds.keep(self)
        self._speak()

    def _speak(self) -> None:
        """Answer the request that waits, if there is something to say: what came of the turn, or its questions."""
        request = self._request
        if request is None or not (self.result is not None or self._questions):
            return
        if self.result is None and not self._drop_unaskable(request):
            return
        self._request = None
        if self.result is not None:
            self._rounds.answer(request, self.result)
        else:
            self._rounds.part(self, request, {key: question.params for key, question in self._questions.items()})

    def _drop_unaskable(self, request: Request) -> bool:
        """Answer with no what the client cannot put to its user, and tell whether a question is left."""
        for key, question in list(self._questions.items()):
            if not self._rounds.can_ask(request, mode_of(question.params)):
                self._close(key)
                question.decide(CANNOT_ASK)
        return bool(self._questions)

    def _expire(self, key: str) -> None:
        self._close(key).decide(TOO_LATE)

    def _close(self, key: str) -> _Question:
        question = self._questions.pop(key)
        question.deadline.cancel()
        return question


class Rounds:
    """The calls of one connection that came without a handshake."""

    def __init__(
        self,
        peer: McpPeer,
        write: Callable[[bytes], None],
        on_decision: Callable[[Turn, int, Decision], None],
        patience: float,
        key: Callable[[], bytes],
        on_answered: Callable[[Request], None],
    ) -> None:
        """`patience` is in seconds; `key` signs states; `on_answered` is told of each request that was answered."""
        self.write = write
        self.on_decision = on_decision
        self.patience = patience
        self._peer = peer
        self._key = key
        self._on_answered = on_answered
        self._parted: dict[str, RoundCall] = {}
        self._unheard: deque[str] = deque()
        self._run = f"{os.getpid()}:{identity.created(os.getpid())}"

    @property
    def parted(self) -> int:
        """How many calls wait for their next round."""
        return sum(call.result is None for call in self._parted.values())

    def begin(
        self, request: Request, params: RoundParams, conversation_id: ConversationId, unknown_text: str
    ) -> RoundCall:
        """Return a call in its first round."""
        call = RoundCall(self, conversation_id, fingerprint(params.name, bytes(params.arguments)), unknown_text)
        call.take_up(request, params.progress_token)
        return call

    def resume(self, request: Request, params: RoundParams, text: str) -> RoundCall | None:
        """Return the call that goes on with a request; where there is none any more, the request is answered."""
        try:
            state = self._unseal(params, text)
        except StateError as error:
            log.warning("a request state is refused: %s", error)
            self._write_refusal(request)
            return None
        call = self._parted.pop(state.call, None)
        if call is not None:
            call.take_up(request, params.progress_token)
        elif state.run == self._run:
            self._write_refusal(request)
        else:
            self.write(self._peer.respond(request, _of_another_run(state)))
        return call

    def can_ask(self, request: Request, mode: ElicitationMode) -> bool:
        """Tell whether the client of a request can put a question of a mode to its user."""
        envelope = self._peer.envelope_of(request)
        return envelope is not None and envelope.can_ask(mode)

    def part(self, call: RoundCall, request: Request, questions: Mapping[str, bytes]) -> None:
        """Answer a request with questions; its call waits for the next round."""
        expires = time.time() + 2 * self.patience
        state = CallState(call.id, call.conversation_id, call.fingerprint, self._run, expires)
        self._parted[call.id] = call
        self.answer(request, input_required_result(questions, seal(state, self._key())))

    def answer(self, request: Request, result: bytes) -> None:
        """Answer a request."""
        self.write(self._peer.respond(request, result))
        self._on_answered(request)

    def keep(self, call: RoundCall) -> None:
        """Keep what came of a turn that nobody waits for, until somebody asks or it has become too old or too many."""
        self._unheard.append(call.id)
        if len(self._unheard) > KEPT_RESULTS:
            self._parted.pop(self._unheard.popleft(), None)
        asyncio.get_running_loop().call_later(self.patience, self._parted.pop, call.id, None)

    def _unseal(self, params: RoundParams, state: str) -> CallState:
        try:
            request = fingerprint(params.name, bytes(params.arguments))
        except (msgspec.MsgspecError, RecursionError):
            raise StateError("its arguments are no JSON") from None
        return unseal(state, request, self._key(), time.time())

    def _write_refusal(self, request: Request) -> None:
        facts = {"reason": "invalid_request_state"}
        self.write(self._peer.fail(request, INVALID_PARAMS, "Invalid or expired requestState", facts))


def _of_another_run(state: CallState) -> bytes:
    """Return the honest result of a call that waits, or waited, in another run of the server."""
    pid, _, created = state.run.partition(":")
    if identity.created(int(pid)) == created:
        text = f"Codex runtime error: the call waits in another process of the server (pid {pid}); go on with it there."
        return failure_result(Failure("session_busy", text), state.conversation_id)
    text = (
        "Turn aborted: interrupted. The server was restarted while the call waited for its user. What the turn was "
        "doing may or may not have taken effect; codex-reply with this id goes on from where it was saved."
    )
    failure = Failure("turn_aborted", text, {"reason": "interrupted", "resumable": True})
    return failure_result(failure, state.conversation_id)
