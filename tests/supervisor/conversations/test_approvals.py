"""An approval is decided exactly once, by any of its deciders and whatever else happens, in every order."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.approval import AnyQuestion, CommandQuestion, Decision, FormQuestion, encode_question
from greenroom.protocol.errors import ApprovalOverError
from greenroom.protocol.internal.worker.notices import AskUser, NoticeOrder, ReceivedNotice
from greenroom.protocol.internal.worker.operations import Decide, StartTurn
from greenroom.protocol.jsonrpc import Request, Response
from greenroom.supervisor.conversations.approvals import Approvals
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.mcp.calls.handshake_call import ToolCall
from tests.support.loop import on_loop
from tests.support.workplace import WORKER, Workplace

COMMAND = CommandQuestion(call_id="c", command=["ls"], shell_text="ls", cwd="/", parts=[])
FORM = FormQuestion(server="s", message="?", form={})
YES, NO = Decision(verdict="approved"), Decision(verdict="denied")
LONG = 600.0


class Scene:
    """A running turn of a client's call, whose worker asks one question."""

    def __init__(self, *, can_ask: bool = True, others_decide: bool = True, question: AnyQuestion = COMMAND) -> None:
        self.place = Workplace()
        conversations = self.conversations = self.place.conversations
        self.approvals = Approvals(conversations, LONG) if others_decide else None
        self.written: list[bytes] = []
        channel = self.channel = ClientChannel(self.written.append)
        self.elicitor = Elicitor(channel, lambda _: can_ask, LONG, others_decide)
        (request,) = channel.peer.receive(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}\n')
        assert isinstance(request, Request)
        self.answered = 0
        conversation = conversations.open(b"{}")
        call = ToolCall(
            request, conversation.id, "e", conversations, self.elicitor, self._count, "off", None, "unknown"
        )
        self.turn = call.turn = conversations.submit(conversation, b"[]", call)
        self.place.open()
        self.asked = self._ask(question)
        self.decided_by: list[str] = []
        """The actions that have decided the question, as each was told."""

    @property
    def decisions(self) -> list[Decision]:
        """What the worker was told."""
        return [sent.decision for sent in self.place.sent if isinstance(sent, Decide)]

    @property
    def withdrawals(self) -> int:
        return sum(b"notifications/cancelled" in line for line in self.written)

    def tool(self) -> None:
        """Decide by a tool, or be told that it is too late."""
        if self.asked is None or self.approvals is None:
            return
        try:
            self.approvals.decide(self.approvals.find(self.asked.id), YES, "a test")
        except ApprovalOverError:
            return
        self.decided_by.append("tool")

    def answer(self) -> None:
        """Let the user answer the client."""
        before = len(self.decisions)
        self.elicitor.answer(Response(0, b'{"action":"accept"}', None))
        self.decided_by += ["answer"] * (len(self.decisions) - before)

    def deadline(self) -> None:
        """Let the deadline of the approval pass, if it still has one."""
        before = len(self.decisions)
        if self.asked is not None and self.asked.timer is not None and self.approvals is not None:
            self.approvals._expire(self.asked)
        self.decided_by += ["deadline"] * (len(self.decisions) - before)

    def deadline_of_the_client(self) -> None:
        """Let the deadline of the client's question pass, if it is open."""
        before = len(self.decisions)
        for question in list(self.elicitor._open.values()):
            self.elicitor._expire(question)
        self.decided_by += ["deadline of the client"] * (len(self.decisions) - before)

    def interrupt(self) -> None:
        self.conversations.interrupt(self.turn)

    def end(self) -> None:
        if self.is_running:
            self.place.end(self.turn.id)

    def die(self) -> None:
        if self.is_running:
            self.place.die()

    def leave(self) -> None:
        self.conversations.leave(self.channel, "the client has left")

    @property
    def is_running(self) -> bool:
        conversation = self.conversations.find(self.turn.conversation_id)
        return conversation is not None and conversation.running is self.turn

    def _ask(self, question: AnyQuestion) -> OpenQuestion | None:
        begun = next(sent for sent in self.place.sent if isinstance(sent, StartTurn))
        address = {"conversation_id": begun.conversation_id, "incarnation": begun.incarnation}
        notice = msgspec.convert({**address, "turn_id": begun.turn_id, "question_id": 7}, AskUser)
        self.conversations.notices.receive(WORKER, ReceivedNotice(notice, encode_question(question), NoticeOrder(0, 2)))
        return next(iter(self.conversations.questions.waiting()), None)

    def _count(self, _: Request) -> None:
        self.answered += 1


ACTIONS: Final[dict[str, Callable[[Scene], None]]] = {
    "tool": Scene.tool,
    "another tool": Scene.tool,
    "answer": Scene.answer,
    "deadline": Scene.deadline,
    "deadline of the client": Scene.deadline_of_the_client,
    "interrupt": Scene.interrupt,
    "end": Scene.end,
    "die": Scene.die,
    "leave": Scene.leave,
}
DECIDING: Final = {"tool", "another tool", "answer", "deadline", "deadline of the client"}
ENDING: Final = {"end", "die"}
VOIDING: Final = ENDING | {"interrupt", "leave"}


def play(actions: Sequence[str], *, can_ask: bool) -> None:
    """Let things happen one after the other, and check what must hold after each and at the end."""

    async def run() -> None:
        scene = Scene(can_ask=can_ask)
        deciding = DECIDING if can_ask else DECIDING - {"answer", "deadline of the client"}
        for number, action in enumerate(actions):
            ACTIONS[action](scene)
            before = actions[: number + 1]
            first = next((name for name in before if name in deciding | VOIDING), None)
            assert len(scene.decisions) == len(scene.decided_by) == int(first in deciding), before
            is_open = bool(scene.conversations.questions.waiting())
            assert is_open == (not scene.decisions and not VOIDING & {*before}), before
            is_over = bool(scene.decisions or ENDING & {*before})
            assert scene.elicitor.open_questions == 0 or not is_over, before
            assert scene.asked is not None
            assert (scene.asked.timer is None) == is_over, before
        assert scene.answered == len({"end", "die", "leave"} & {*actions} and {1})
        assert scene.withdrawals <= int(can_ask)

    asyncio.run(run())


@pytest.mark.parametrize("can_ask", [True, False])
@pytest.mark.parametrize("first", ACTIONS)
def test_of_any_three_things_in_any_order_the_first_decides(first: str, can_ask: bool) -> None:
    for others in permutations([name for name in ACTIONS if name != first], 2):
        play([first, *others], can_ask=can_ask)


@given(st.permutations(list(ACTIONS)), st.booleans())
def test_all_of_it_in_any_order_decides_once(actions: list[str], can_ask: bool) -> None:
    play(actions, can_ask=can_ask)


@on_loop
async def test_what_a_tool_decides_is_withdrawn_from_the_client_that_was_asked() -> None:
    scene = Scene()
    scene.tool()
    assert (scene.withdrawals, scene.decisions) == (1, [YES])
    scene = Scene()
    scene.answer()
    assert scene.withdrawals == 0


@on_loop
async def test_without_the_setting_a_client_that_cannot_ask_says_no_at_once() -> None:
    scene = Scene(can_ask=False, others_decide=False)
    assert [decision.verdict for decision in scene.decisions] == ["denied"]
    scene = Scene(can_ask=False)
    assert scene.decisions == []


@on_loop
async def test_a_form_that_no_client_can_fill_in_does_not_wait() -> None:
    scene = Scene(can_ask=False, question=FORM)
    assert [decision.verdict for decision in scene.decisions] == ["denied"]
    assert scene.conversations.questions.waiting() == []


@on_loop
async def test_a_deadline_stands_and_its_answer_says_so() -> None:
    scene = Scene(can_ask=False)
    assert scene.asked is not None
    assert scene.asked.deadline == scene.asked.asked_at + LONG
    scene.deadline()
    (decision,) = scene.decisions
    assert (decision.verdict, decision.reason) == ("denied", "nobody has decided within 600 s")


@on_loop
async def test_what_does_not_wait_is_named() -> None:
    scene = Scene()
    assert scene.approvals is not None
    with pytest.raises(ApprovalOverError, match="No approval 'x' waits"):
        scene.approvals.find("x")
    assert scene.asked is not None
    scene.answer()
    with pytest.raises(ApprovalOverError, match="was decided already"):
        scene.approvals.decide(scene.asked, NO, "a test")
