"""Asks the client's user, and ends every question: by an answer, a deadline or a withdrawal."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.jsonrpc import RequestId, Response
from greenroom.protocol.mcp.elicitation import METHOD, mode_of, read_decision
from greenroom.protocol.mcp.handshake import ElicitationMode
from greenroom.supervisor.frontend.client_channel import ClientChannel

OnDecision: TypeAlias = Callable[[Decision], object]

CANNOT_ASK = Decision(
    verdict="denied", reason="approval is not available: the client cannot ask its user (it declared no elicitation)"
)


def too_late(timeout_s: float) -> Decision:
    """Return what becomes of a question without an answer in so many seconds."""
    return Decision(verdict="denied", reason=f"the user did not answer within {timeout_s:g} s")


class Elicitation(msgspec.Struct, eq=False):
    """One open question."""

    id: RequestId
    on_decision: OnDecision
    elicitor: "Elicitor"
    about: RequestId | None = None
    """The client's request that it belongs to, if any."""
    deadline: asyncio.TimerHandle | None = msgspec.field(default=None)

    def withdraw(self, reason: str) -> None:
        """Tell the client that the question is void, if it is still open. No decision is reported."""
        self.elicitor.withdraw(self, reason)

    def decided_elsewhere(self, decision: Decision) -> None:
        """Withdraw the question, which was decided otherwise than by this client."""
        self.withdraw(f"it was decided elsewhere: {decision.verdict}")

    def decline(self, decision: Decision) -> None:
        """Withdraw the question, if it is still open, and report a decision in place of the user's."""
        if self.elicitor.withdraw(self, "it is not asked any more"):
            self.on_decision(decision)


class Elicitor:
    """The open questions to one client."""

    def __init__(
        self,
        channel: ClientChannel,
        can_ask: Callable[[ElicitationMode], bool],
        timeout_s: float,
        others_decide: bool = False,
    ) -> None:
        """`others_decide` tells whether approvals can be decided elsewhere (`…conversations.approvals`)."""
        self.channel = channel
        """The way to the client that is asked."""
        self._can_ask = can_ask
        self._others_decide = others_decide
        self.timeout = timeout_s
        """Seconds that the user has for an answer."""
        self._open: dict[RequestId, Elicitation] = {}

    @property
    def open_questions(self) -> int:
        """Number of questions that wait for an answer."""
        return len(self._open)

    def waits(self, question: AnyQuestion) -> bool:
        """Tell whether a question that cannot be put to this client waits for a decision from elsewhere."""
        return self._others_decide and question.can_be_approved

    def ask(self, params: bytes, on_decision: OnDecision, about: RequestId | None = None) -> Elicitation | None:
        """Ask, and report the outcome to `on_decision` once; `None` where the client cannot be asked.

        `about` is the open request of the client that the question belongs to, if any.
        """
        return self.put(METHOD, params, on_decision, about) if self._can_ask(mode_of(params)) else None

    def put(self, method: str, params: bytes, on_decision: OnDecision, about: RequestId | None = None) -> Elicitation:
        """Ask with a request that the client is known to accept, and report the outcome to `on_decision`."""
        request_id, line = self.channel.peer.request(method, params)
        question = Elicitation(request_id, on_decision, self, about)
        self._open[request_id] = question
        question.deadline = asyncio.get_running_loop().call_later(self.timeout, self._expire, question)
        self.channel.writer_for(about)(line)
        return question

    def answer(self, response: Response) -> bool:
        """Handle an answer; return whether it belongs to an open question."""
        question = self._close(response.id)
        if question is not None:
            question.on_decision(read_decision(None if response.error is not None else response.result))
        return question is not None

    def withdraw(self, question: Elicitation, reason: str) -> bool:
        """Withdraw a question; return whether it was open."""
        if self._close(question.id) is None:
            return False
        params = {"requestId": question.id, "reason": reason}
        self.channel.notify_about(question.about, "notifications/cancelled", params)
        return True

    def _expire(self, question: Elicitation) -> None:
        if question.id in self._open:
            self.withdraw(question, "no answer in time")
            question.on_decision(too_late(self.timeout))

    def _close(self, request_id: RequestId) -> Elicitation | None:
        question = self._open.pop(request_id, None)
        if question is not None and question.deadline is not None:
            question.deadline.cancel()
        return question
