"""Requests that take a while: each is answered by a task of its own, so that none delays the connection.

Only a few of them run at a time, and none starts while the client leaves answers unread: what a client requests faster
than it reads is kept as a request, not as a result in memory.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TypeAlias, TypeVar

import msgspec

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Peer, Request

log = logging.getLogger(__name__)

AT_WORK = 4
"""Requests that are worked on at a time."""

T = TypeVar("T")
Work: TypeAlias = Callable[[Request], Coroutine[None, None, bytes]]
"""Returns the result. Raises `FeatureRefusedError`."""


class FeatureRefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class FeatureRequests:
    """The open requests of one connection. Must be made on the running loop."""

    def __init__(
        self, peer: Peer, write: Callable[[bytes], None], drained: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """`drained` returns once the client has read what was sent."""
        self._peer = peer
        self._write = write
        self._drained = drained
        self._room = asyncio.Semaphore(AT_WORK)
        self._tasks: dict[asyncio.Task[None], Request] = {}

    def start(self, request: Request, work: Work) -> None:
        """Answer a request with the result of `work`."""
        task = asyncio.get_running_loop().create_task(self._answer(request, work), name=request.method)
        self._tasks[task] = request
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        """Answer what is open."""
        open_now = dict(self._tasks)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        for request in open_now.values():
            if self._peer.is_open(request):
                self._write(self._peer.fail(request, INTERNAL_ERROR, "the server is shutting down"))

    async def _answer(self, request: Request, work: Work) -> None:
        try:
            async with self._room:
                await self._drained()
                line = self._peer.respond(request, await work(request))
        except FeatureRefusedError as refusal:
            line = self._peer.fail(request, refusal.code, str(refusal), refusal.data)
        except Exception as error:
            log.exception("%s broke", request.method)
            text = f"internal error ({type(error).__name__}); the log on standard error has more"
            line = self._peer.fail(request, INTERNAL_ERROR, text)
        self._write(line)


def read_params(request: Request, decode: Callable[[bytes], T]) -> T:
    """Decode the params of a request; absent ones are an empty object. Raises `FeatureRefusedError`."""
    try:
        return decode(request.params or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FeatureRefusedError(INVALID_PARAMS, f"invalid params for {request.method}: {error}") from None
