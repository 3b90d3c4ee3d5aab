"""The one way to answer requests that take a while: each on a task of its own, exactly once, and a few at a time.

Further requests wait in order. Where answers may be large, no request is worked on either while the client leaves
answers unread: what a client requests faster than it reads is kept as a request, not as a result in memory.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, Request
from greenroom.runtime.log.logline import about
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import RefusedError

log = logging.getLogger(__name__)

READING: Final = 4
"""Requests of one queue that are worked on at a time where the work is reading files."""
WAITING: Final = 256
"""The same where the work is waiting for other processes or for the user."""


class RequestAnswer(NamedTuple):
    """A result as JSON, and what to do once it has been sent."""

    result: bytes = b"{}"
    then: Callable[[], None] = lambda: None


AnswerMethod: TypeAlias = Callable[[Request], Coroutine[None, None, RequestAnswer]]
"""Returns the answer. Raises `RefusedError`."""


class RequestQueue:
    """The open requests of one client to some methods. Must be made on the running loop."""

    def __init__(self, channel: ClientChannel, at_once: int = READING, *, waits_for_reader: bool = True) -> None:
        """`at_once` requests are worked on at a time, with `waits_for_reader` only while the client reads."""
        self._channel = channel
        self._waits_for_reader = waits_for_reader
        self._room = asyncio.Semaphore(at_once)
        self._tasks: dict[asyncio.Task[None], Request] = {}

    def handlers(self, methods: Mapping[str, AnswerMethod]) -> Mapping[str, Callable[[Request], None]]:
        """Return handlers that answer requests with the results of `methods`."""
        return {name: partial(self.start, method=method) for name, method in methods.items()}

    def start(self, request: Request, method: AnswerMethod) -> None:
        """Answer a request with the result of `method`."""
        task = asyncio.get_running_loop().create_task(self._answer(request, method), name=request.method)
        self._tasks[task] = request
        task.add_done_callback(self._tasks.pop)

    async def close(self, reason: str) -> None:
        """Answer what is open with an error, for people, that gives the reason."""
        open_now = dict(self._tasks)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        for request in open_now.values():
            if self._channel.peer.is_open(request):  # a task that is cancelled before its first step runs no handler
                self._channel.fail(request, INTERNAL_ERROR, reason)

    async def _answer(self, request: Request, method: AnswerMethod) -> None:
        with about(request_id=request.id):
            await self._answered(request, method)

    async def _answered(self, request: Request, method: AnswerMethod) -> None:
        try:
            async with self._room:
                if self._waits_for_reader:
                    await self._channel.drain()
                answer = await method(request)
        except RefusedError as refusal:
            self._channel.refuse(request, refusal)
        except Exception as error:
            log.exception("%s broke", request.method)
            text = f"internal error ({type(error).__name__}); the log on standard error has more"
            self._channel.fail(request, INTERNAL_ERROR, text)
        else:
            self._channel.respond(request, answer.result)
            answer.then()
