"""Each question gets one decision, and a question for which no call waits any more is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from greenroom.protocol.approval import AnyQuestion, Decision, PatchQuestion
from greenroom.workers.conversation.pending_approvals import PendingApprovals

YES = Decision(verdict="approved")
NO = Decision(verdict="denied", reason="no")
QUESTION = PatchQuestion(call_id="call", changes={})
OTHER = PatchQuestion(call_id="other call", changes={})
Scene = Callable[["Desk"], Awaitable[None]]


class Desk:
    """Questions, and what was sent of them."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, AnyQuestion]] = []
        self.questions = PendingApprovals(self)
        self._arrived = asyncio.Event()

    async def ask(self, question: AnyQuestion = QUESTION) -> "asyncio.Task[Decision]":
        """Ask, and return once the question is sent."""
        self._arrived.clear()
        task = asyncio.create_task(self.questions.ask(question))
        await self._arrived.wait()
        return task

    def ask_user(self, question_id: int, question: AnyQuestion) -> None:
        self.sent.append((question_id, question))
        self._arrived.set()


def play(scene: Scene) -> Desk:
    async def run() -> Desk:
        desk = Desk()
        await scene(desk)
        return desk

    return asyncio.run(run())


def test_questions_are_numbered_in_the_order_in_which_they_are_asked() -> None:
    async def scene(desk: Desk) -> None:
        first, second = await desk.ask(QUESTION), await desk.ask(OTHER)
        assert desk.questions.open == 2
        desk.questions.settle(1, NO)
        desk.questions.settle(0, YES)
        assert (await first, await second) == (YES, NO)
        assert desk.questions.open == 0

    assert play(scene).sent == [(0, QUESTION), (1, OTHER)]


def test_the_first_decision_counts() -> None:
    async def scene(desk: Desk) -> None:
        asked = await desk.ask()
        desk.questions.settle(0, NO)
        desk.questions.settle(0, YES)
        assert await asked == NO
        desk.questions.settle(0, YES)

    play(scene)


def test_a_decision_on_nothing_is_ignored() -> None:
    async def scene(desk: Desk) -> None:
        desk.questions.settle(0, YES)
        asked = await desk.ask()
        desk.questions.settle(7, YES)
        assert not asked.done()
        desk.questions.settle(0, NO)
        assert await asked == NO

    play(scene)


def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    async def scene(desk: Desk) -> None:
        asked = await desk.ask()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert desk.questions.open == 0
        desk.questions.settle(0, YES)
        later = await desk.ask()
        desk.questions.settle(0, YES)
        desk.questions.settle(1, NO)
        assert await later == NO, "a late answer is not one to the next question"

    play(scene)


def test_a_decision_that_comes_with_the_cancellation_does_not_undo_it() -> None:
    async def scene(desk: Desk) -> None:
        asked = await desk.ask()
        asked.cancel()
        desk.questions.settle(0, YES)
        with pytest.raises(asyncio.CancelledError):
            await asked

    play(scene)


def test_a_question_that_cannot_be_sent_is_not_open() -> None:
    class Broken:
        def ask_user(self, question_id: int, question: AnyQuestion) -> None:
            raise ConnectionError("the mailbox is gone")

    questions = PendingApprovals(Broken())
    with pytest.raises(ConnectionError):
        asyncio.run(questions.ask(QUESTION))
    assert questions.open == 0
