"""What clients ask of conversations beside their turns: sent to the worker, and answered once or given up with it."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from greenroom.protocol.internal.worker.notices import RequestServed
from greenroom.protocol.internal.worker.operations import RequestName, ServeRequest, WithdrawRequest
from greenroom.supervisor.conversations.assignments import WorkerAssignments
from greenroom.supervisor.conversations.slots import Slots
from greenroom.supervisor.conversations.state.conversation import Conversation, RequestFailedError
from greenroom.supervisor.conversations.turns import turn_address

NO_PROCESS: Final = "the conversation has no process"

__all__ = ["ClientRequests", "RequestFailedError"]


class ClientRequests:
    """The requests to all conversations. A conversation keeps its process while one is open."""

    def __init__(self, assignments: WorkerAssignments, slots: Slots, on_free: Callable[[Conversation], None]) -> None:
        """`on_free` is called with each conversation that has one open request less."""
        self._assignments = assignments
        self._slots = slots
        self._on_free = on_free
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()

    async def serve(self, conversation: Conversation, name: RequestName, params: bytes) -> bytes:
        """Return the result of a request. Raises `RequestFailedError`; cancelling this breaks it off.

        The conversation must have been brought up.
        """
        if conversation.worker_id is None or not conversation.configured:
            raise RequestFailedError(NO_PROCESS)
        number = next(self._numbers)
        result: asyncio.Future[bytes] = self._loop.create_future()
        if conversation.requests is None:
            conversation.requests = {}
        conversation.requests[number] = result
        self._slots.mark_busy(conversation)
        self._assignments.send(
            conversation, ServeRequest(**turn_address(conversation), number=number, name=name), params
        )
        try:
            return await result
        finally:
            self._forget(conversation, number, result)

    def receive(self, conversation: Conversation, notice: RequestServed, payload: bytes) -> None:
        """Handle the end of a request."""
        result = (conversation.requests or {}).get(notice.number)
        if result is None or result.done():
            return
        if notice.failure is None:
            result.set_result(payload)
        else:
            result.set_exception(RequestFailedError(notice.failure))

    def _forget(self, conversation: Conversation, number: int, result: "asyncio.Future[bytes]") -> None:
        requests = conversation.requests
        if requests is None or requests.pop(number, None) is None:
            return  # its process is gone
        if not requests:
            conversation.requests = None
        if result.cancelled():
            self._assignments.send(conversation, WithdrawRequest(**turn_address(conversation), number=number))
        self._on_free(conversation)
