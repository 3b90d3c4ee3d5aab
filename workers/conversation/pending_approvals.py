"""The questions to the client's user that wait for an answer."""

import asyncio
from typing import Protocol

from greenroom.protocol.approval import AnyQuestion, Decision


class QuestionSender(Protocol):
    """Sends questions to the supervisor (`greenroom.workers.conversation.notices.ConversationNotices`)."""

    def ask_user(self, question_id: int, question: AnyQuestion) -> None:
        """Send a question of the running turn."""


class PendingApprovals:
    """Belongs to one conversation. Each question gets one decision; the supervisor refuses those without an answer."""

    def __init__(self, sender: QuestionSender) -> None:
        self._sender = sender
        self._next_id = 0
        self._open: dict[int, asyncio.Future[Decision]] = {}

    @property
    def open(self) -> int:
        """Number of questions that wait."""
        return len(self._open)

    async def ask(self, question: AnyQuestion) -> Decision:
        """Send a question and wait for the decision. A cancelled wait removes the question."""
        question_id = self._next_id
        self._next_id += 1
        answer = self._open[question_id] = asyncio.get_running_loop().create_future()
        try:
            self._sender.ask_user(question_id, question)
            decision: Decision = await answer
        finally:
            del self._open[question_id]
        return decision

    def settle(self, question_id: int, decision: Decision) -> None:
        """Set the decision on a question. A second one, or one on a question that is not open, is ignored."""
        answer = self._open.get(question_id)
        if answer is not None and not answer.done():
            answer.set_result(decision)
