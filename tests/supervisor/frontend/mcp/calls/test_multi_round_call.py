"""Whatever happens to a call in whatever order: each of its requests has one answer, each question one end."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.approval import AnyQuestion, Decision, FormQuestion
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.handshake import ProgressToken
from greenroom.protocol.mcp.stateless import TASKS, RequestEnvelope
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Nobody
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall

THREAD = ConversationId("0199")
ACCEPT = msgspec.Raw(b'{"action":"accept","content":{}}')
QUESTION = FormQuestion(server="s", message="?", form={"type": "object", "properties": {}})


def envelope(*, asks: bool = True, tasks: bool = True) -> RequestEnvelope:
    capabilities = {"elicitation": msgspec.Raw(b"{}")} if asks else {}
    extensions = {"extensions": msgspec.Raw(msgspec.json.encode({TASKS: {}}))} if tasks else {}
    return RequestEnvelope("2026-07-28", None, {**capabilities, **extensions})


class Board:
    """The connection of one call: keeps account of what it says, and breaks off where it says too much."""

    timeout_s = 600.0
    client = Nobody()

    def __init__(self) -> None:
        self.requests = 0
        self.open: Request | None = None
        self.decided: list[int] = []
        self.kept = 0
        self.is_task = self.is_held = False
        self.told_end = 0
        self.call = MultiRoundCall(self, THREAD, "print", "unknown")
        self.call.turn = ConversationTurn(TurnId("turn"), THREAD, b"[]", self.call)

    def tell(self, request: Request, token: ProgressToken, signs: int, doing: str) -> None:
        assert self.open is not None, "progress is told for requests that wait"

    def worktree_of(self, conversation_id: ConversationId) -> dict[str, str] | None:
        return None

    def decide(self, turn: ConversationTurn, question_id: int, decision: Decision) -> None:
        assert question_id not in self.decided
        self.decided.append(question_id)

    def on_decided_elsewhere(
        self, turn: ConversationTurn, question_id: int, withdraw: Callable[[Decision], None]
    ) -> None:
        """Nothing is decided elsewhere."""

    def waits(self, question: AnyQuestion) -> bool:
        return False

    def answer(self, request: Request, result: bytes) -> None:
        assert request is self.open, "a request is answered once, while it waits"
        self.open = None
        self.told_end += result == self.call.result

    def part(self, call: MultiRoundCall, request: Request) -> None:
        assert call.questions, "there is something to ask"
        self.answer(request, b"{}")

    def keep(self, call: MultiRoundCall) -> None:
        self.kept += 1

    def watch(self, call: MultiRoundCall) -> None:
        return None

    # The task that it may become

    def creation(self) -> bytes:
        return b'{"resultType":"task"}'

    def doing(self, what: str) -> None:
        assert self.open is None

    def changed(self) -> None:
        self.told_end += self.call.result is not None

    # What may happen

    def make_again(self, asks: bool, answered: list[int]) -> None:
        """Take a round of the call, if it waits for one."""
        if self.open is None and not self.is_task and not self.told_end:
            self.requests += 1
            self.open = Request(self.requests, b"1", "tools/call", None)
            self.call.take_up(self.open, envelope(asks=asks), 1)
            self.call.proceed({f"approval-{number}": ACCEPT for number in answered})

    def expire(self) -> None:
        for key in self.call.questions:
            self.call._expire(key)

    def settle(self, as_task: bool) -> None:
        """Let it become a task, or stay what it is, if it is held."""
        if self.is_held:
            self.is_held, self.is_task = False, as_task
            if as_task:
                self.call.become(self)
            else:
                self.call.stay()

    def end(self, failed: bool) -> None:
        if failed:
            self.call.failed(Failure("model_error", "no"))
        else:
            self.call.succeeded(b'"done"')


happenings = st.one_of(
    st.tuples(st.just("ask")),
    st.tuples(st.just("round"), st.booleans(), st.lists(st.integers(0, 5), max_size=3)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("progress")),
    st.tuples(st.just("hold")),
    st.tuples(st.just("settle"), st.booleans()),
)


@given(st.lists(happenings, max_size=20), st.booleans(), st.integers(0, 20))
def test_each_request_has_one_answer_and_each_question_one_end(story: list[Any], failed: bool, ends_after: int) -> None:
    async def play() -> None:
        board = Board()
        board.make_again(asks=True, answered=[])
        asked = 0
        for step, (what, *more) in enumerate(story):
            if step == ends_after:
                board.end(failed)
            if what == "ask" and board.call.result is None:
                board.call.asks(asked, QUESTION, "current")
                asked += 1
            elif what == "round":
                board.make_again(*more)
            elif what == "expire":
                board.expire()
            elif what == "progress" and board.call.result is None:
                board.call.progress("thinking")
            elif what == "hold" and not board.is_task:
                board.is_held = board.call.hold()
            elif what == "settle":
                board.settle(*more)
        if board.call.result is None:
            board.end(failed)
        board.settle(as_task=False)
        board.make_again(asks=True, answered=[])
        assert board.open is None, "no request is left waiting"
        assert board.call.questions == {}
        assert board.call.turn is None, "call and turn do not hold each other"
        assert len(set(board.decided)) == len(board.decided)
        assert board.told_end >= 1, "somebody has heard what came of it"

    asyncio.run(play())
