"""The questions to the user, where they can be decided by tools of clients and by operators, not only where asked.

Each is decided once, by whichever comes first: the client that was asked, another decision, or the deadline. It is void
once its turn has ended, however that happens.
"""

import asyncio
import logging

from greenroom.protocol.approval import CommandQuestion, Decision
from greenroom.protocol.errors import ApprovalOverError
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.open_question import OpenQuestion

log = logging.getLogger(__name__)


class Approvals:
    """Those of all conversations of one server. Runs on its loop."""

    def __init__(self, conversations: Conversations, timeout_s: float) -> None:
        """`timeout_s` are the seconds that a question waits at most."""
        self._conversations = conversations
        self._timeout = timeout_s
        conversations.questions.on_asked(self._limit)

    def waiting(self) -> list[OpenQuestion]:
        """Return the questions that wait for a decision, the oldest first."""
        return self._conversations.questions.waiting()

    def find(self, approval_id: str) -> OpenQuestion:
        """Return a question that waits. Raises `ApprovalOverError`."""
        found = next((question for question in self.waiting() if question.id == approval_id), None)
        if found is None:
            text = f"No approval {approval_id[:100]!r} waits: it was decided, its time is up, or its turn has ended."
            raise ApprovalOverError(text)
        return found

    def decide(self, question: OpenQuestion, decision: Decision, by: str) -> None:
        """Decide a question that waits. `by` says who does, for the log. Raises `ApprovalOverError`."""
        if not self._conversations.questions.decide(question.turn, question.number, decision, elsewhere=True):
            raise ApprovalOverError(f"Approval {question.id} was decided already, or its turn has ended.")
        about = {"conversation_id": question.turn.conversation_id}
        log.info(
            "approval %s of conversation %s: %s, by %s",
            question.id,
            _place(question),
            decision.verdict,
            by,
            extra=about,
        )

    def _limit(self, question: OpenQuestion) -> None:
        question.deadline = question.asked_at + self._timeout
        question.timer = asyncio.get_running_loop().call_later(self._timeout, self._expire, question)

    def _expire(self, question: OpenQuestion) -> None:
        text = f"nobody has decided within {self._timeout:g} s"
        decision = Decision(verdict="denied", reason=text)
        self._conversations.questions.decide(question.turn, question.number, decision, elsewhere=True)


def _place(question: OpenQuestion) -> str:
    what = question.question
    return f"{question.turn.conversation_id}, {what.command[:1] if isinstance(what, CommandQuestion) else type(what)}"
