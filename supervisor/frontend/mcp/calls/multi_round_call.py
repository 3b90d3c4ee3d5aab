"""One tool call without a handshake, over all its rounds: the outcome of its turn, and the requests for it."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId, uuid7
from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.elicitation import mode_of, read_decision
from greenroom.protocol.mcp.handshake import ProgressToken, success_result
from greenroom.protocol.mcp.stateless import TASKS, RequestEnvelope
from greenroom.supervisor.conversations.state.turn import Absent, Client, ConversationTurn
from greenroom.supervisor.frontend.elicitation import request_params
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, too_late
from greenroom.supervisor.frontend.mcp.calls.handshake_call import result_of, usage_of
from greenroom.supervisor.frontend.progress import Progress


class TaskHandle(Protocol):
    """The task that a long call has become (`greenroom.supervisor.frontend.mcp.calls.tasks`)."""

    def creation(self) -> bytes:
        """Return the result that announces the task to the client."""

    def doing(self, what: str) -> None:
        """Handle a sign of life."""

    def changed(self) -> None:
        """Handle that the call's questions have changed, or that it has ended."""


class Host(Protocol):
    """The connection that a call belongs to (`greenroom.supervisor.frontend.mcp.calls.multi_round_calls`)."""

    timeout_s: float
    """Seconds that the user has for an answer."""

    @property
    def client(self) -> Client:
        """The client of the connection."""

    def tell(self, request: Request, token: ProgressToken, signs: int, doing: str) -> None:
        """Send a sign of life for a request that waits."""

    def decide(self, turn: ConversationTurn, question_id: int, decision: Decision) -> object:
        """Pass on the answer to a question."""

    def on_decided_elsewhere(
        self, turn: ConversationTurn, question_id: int, withdraw: Callable[[Decision], None]
    ) -> None:
        """Call `withdraw` where a question is decided elsewhere."""

    def waits(self, question: AnyQuestion) -> bool:
        """Tell whether a question that cannot be put to the client waits for a decision from elsewhere."""

    def worktree_of(self, conversation_id: ConversationId) -> dict[str, str] | None:
        """Return the `path` and `branch` of a conversation's own worktree; `None` if it has none."""

    def answer(self, request: Request, result: bytes) -> None:
        """Answer a request."""

    def part(self, call: "MultiRoundCall", request: Request) -> None:
        """Answer a request with the questions of its call, which waits for the next round."""

    def keep(self, call: "MultiRoundCall") -> None:
        """Keep the outcome of a turn that no request waits for."""

    def watch(self, call: "MultiRoundCall") -> asyncio.TimerHandle | None:
        """Make a call a task if it takes long."""


class _Question(NamedTuple):
    """An open question."""

    params: bytes
    """Params of `elicitation/create`, as JSON."""
    decide: Callable[[Decision], None]
    deadline: asyncio.TimerHandle
    waits: bool
    """Whether it can be decided elsewhere."""


class MultiRoundCall:
    """The audience of one turn (`greenroom.supervisor.conversations.state.turn.Audience`)."""

    wants_deltas: Final = False
    wants_steps: Final = True
    """Since each of its rounds may ask for signs of life, and it may become a task."""

    def __init__(self, host: Host, conversation_id: ConversationId, fingerprint: str, unknown_text: str) -> None:
        self.id = uuid7()
        self.conversation_id = conversation_id
        self.fingerprint = fingerprint
        self.turn: ConversationTurn | None = None
        """Until it has ended, as in `greenroom.supervisor.frontend.mcp.calls.handshake_call.ToolCall`."""
        self.result: bytes | None = None
        """The outcome of the turn, once it has ended."""
        self.was_aborted = False
        """Whether it was interrupted."""
        self.client: Client = host.client
        self._host = host
        self._unknown_text = unknown_text
        self._request: Request | None = None
        self._envelope: RequestEnvelope | None = None
        self._progress: Progress | None = None
        self._questions: dict[str, _Question] = {}
        self._task: TaskHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._changing = False

    @property
    def questions(self) -> dict[str, bytes]:
        """The open questions: params of `elicitation/create`, by their keys."""
        return {key: question.params for key, question in self._questions.items()}

    def move_to(self, host: Host) -> None:
        """Belong to the connection on which its next round has come."""
        self._host, self.client = host, host.client

    def take_up(self, request: Request, envelope: RequestEnvelope, progress_token: ProgressToken) -> None:
        """Let a request wait for the turn."""
        self._request, self._envelope = request, envelope
        self._progress = None
        if progress_token is not None:
            self._progress = Progress(partial(self._host.tell, request, progress_token))
        self._alarm = self._host.watch(self) if envelope.has_extension(TASKS) else None

    def proceed(self, answers: Mapping[str, msgspec.Raw]) -> None:
        """Handle the user's answers; those to questions that are not open are ignored."""
        for key, question in list(self._questions.items()):
            if key in answers:
                self._close(key)
                question.decide(read_decision(bytes(answers[key])))
        self._speak()

    def hold(self) -> bool:
        """Delay answers until it is decided whether it becomes a task; return whether a request waits at all."""
        self._changing = self._request is not None
        return self._changing

    def become(self, task: TaskHandle) -> None:
        """Continue as a task, which does not end with its client."""
        self._task = task
        self.client = Absent(self.client)
        self.stay()

    def stay(self) -> None:
        """Continue without a task, and send what was delayed."""
        self._changing = False
        self._speak()

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Ignore events; this era has no notification for them."""

    def progress(self, doing: str) -> None:
        """Send a sign of life, if asked for, with what is being done."""
        if self._task is not None:
            self._task.doing(doing)
        elif self._progress is not None:
            self._progress.note(doing)

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """Put a question to the client's user with the result of this round, or of the next one."""
        turn = self.turn
        if turn is None:
            return

        def decide(decision: Decision) -> None:
            self._host.decide(turn, question_id, decision)

        key = f"approval-{question_id}"
        params = request_params(question, form, self.id, turn.id, self.conversation_id)
        timer = asyncio.get_running_loop().call_later(self._host.timeout_s, self._expire, key)
        self._questions[key] = _Question(params, decide, timer, self._host.waits(question))
        self._host.on_decided_elsewhere(turn, question_id, lambda _: self._withdraw(key))
        self._speak()

    def succeeded(self, last_message: bytes) -> None:
        """Handle the agent's last message."""
        worktree = self._host.worktree_of(self.conversation_id)
        self._end(success_result(self.conversation_id, last_message, usage_of(self.turn), worktree))

    def failed(self, failure: Failure) -> None:
        """Handle the failure."""
        self.was_aborted = failure.kind == "turn_aborted"
        self._end(result_of(failure, self.conversation_id, self._unknown_text, usage_of(self.turn)))

    def _end(self, result: bytes) -> None:
        for key in list(self._questions):
            self._close(key)
        self.turn = None
        self.result = result
        if self._request is None and self._task is None:
            self._host.keep(self)
        self._speak()

    def _speak(self) -> None:
        """Answer the request that waits, if any, with the outcome of the turn or with its questions."""
        if self._changing:
            return
        if self._envelope is not None and (self._request is not None or self._task is not None):
            self._drop_unaskable(self._envelope)
        request = self._request
        if request is not None and (self._task is not None or self.result is not None or self._questions):
            self._let_go()
            if self._task is not None:
                self._host.answer(request, self._task.creation())
            elif self.result is not None:
                self._host.answer(request, self.result)
            else:
                self.client = Absent(self.client)  # whichever connection continues it, this one may end
                self._host.part(self, request)
        if self._task is not None:
            self._task.changed()

    def _let_go(self) -> None:
        """Release the request that waits."""
        self._request = None
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _drop_unaskable(self, envelope: RequestEnvelope) -> None:
        """Decline the questions that the client cannot put to its user."""
        for key, question in list(self._questions.items()):
            if not envelope.can_ask(mode_of(question.params)):
                self._close(key)
                if not question.waits:
                    question.decide(CANNOT_ASK)

    def _expire(self, key: str) -> None:
        self._close(key).decide(too_late(self._host.timeout_s))
        if self._task is not None:
            self._speak()

    def _withdraw(self, key: str) -> None:
        if key in self._questions:
            self._close(key)
            if self._task is not None:
                self._speak()

    def _close(self, key: str) -> _Question:
        question = self._questions.pop(key)
        question.deadline.cancel()
        return question
