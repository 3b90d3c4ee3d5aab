"""The open questions to one client: each ends once, by an answer, a deadline or a withdrawal, which is told."""

import asyncio

import msgspec

from greenroom.protocol.app_server.notifications import ServerRequestResolved
from greenroom.protocol.app_server.questions import AnyQuestion
from greenroom.protocol.jsonrpc import RequestId, Response, encode
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.forms.question_form import decision_of
from greenroom.supervisor.frontend.elicitor import OnDecision, too_late


class SentQuestion(msgspec.Struct, eq=False):
    """A question that waits for its answer."""

    id: RequestId
    question: AnyQuestion
    on_decision: OnDecision
    deadline: asyncio.TimerHandle


class Questions:
    """The questions to one client. Must be made on the running loop."""

    def __init__(self, channel: AppServerChannel, timeout_s: float) -> None:
        """A question that has no answer after `timeout_s` seconds is answered by no."""
        self._channel = channel
        self._timeout = timeout_s
        self._open: dict[RequestId, SentQuestion] = {}

    def put(self, question: AnyQuestion, on_decision: OnDecision) -> SentQuestion:
        """Ask the client, and report the outcome to `on_decision` once."""
        request_id, line = self._channel.peer.request(question.method, encode(question))
        deadline = asyncio.get_running_loop().call_later(self._timeout, self._expire, request_id)
        asked = self._open[request_id] = SentQuestion(request_id, question, on_decision, deadline)
        self._channel.write(line)
        return asked

    def answer(self, response: Response) -> bool:
        """Handle an answer; return whether it belongs to an open question."""
        asked = self._open.get(response.id)
        if asked is None:
            return False
        self.withdraw(asked)
        asked.on_decision(decision_of(asked.question, None if response.error is not None else response.result))
        return True

    def withdraw(self, asked: SentQuestion) -> None:
        """End a question without reporting a decision, if it is still open."""
        if self._open.pop(asked.id, None) is not None:
            asked.deadline.cancel()
            self._channel.tell(ServerRequestResolved(thread_id=asked.question.thread_id, request_id=asked.id))

    def _expire(self, request_id: RequestId) -> None:
        asked = self._open.get(request_id)
        if asked is not None:
            self.withdraw(asked)
            asked.on_decision(too_late(self._timeout))
