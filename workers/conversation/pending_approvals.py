"""The questions that a conversation has put to the client's user and that are not answered yet."""

import asyncio
from collections.abc import Callable

from greenroom.protocol.mcp.elicitation import DENIED, Decision


class PendingApprovals:
    """Each question gets one decision; where nobody can give one any more it is a refusal."""

    def __init__(self, send: Callable[[int, bytes], None]) -> None:
        """`send` takes the number of a question and the question as a JSON object."""
        self._send = send
        self._next = 0
        self._open: dict[int, asyncio.Future[Decision]] = {}

    @property
    def open(self) -> int:
        """How many questions wait."""
        return len(self._open)

    async def ask(self, question: bytes) -> Decision:
        """Ask and wait for what becomes of it. A cancelled wait leaves nothing behind."""
        number = self._next
        self._next += 1
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(number, question)
            decision: Decision = await answer
        finally:
            del self._open[number]
        return decision

    def settle(self, number: int, decision: Decision) -> None:
        """Take a decision; one for a question that is not open is ignored."""
        answer = self._open.get(number)
        if answer is not None and not answer.done():
            answer.set_result(decision)

    def refuse_all(self) -> None:
        """Refuse whatever is open."""
        for number in list(self._open):
            self.settle(number, DENIED)
