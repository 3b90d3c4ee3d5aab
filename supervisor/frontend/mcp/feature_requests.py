"""Requests that take a moment: each is answered by a task of its own, so that none holds up the connection.

Only a few of them are at work at a time, and none begins while the client leaves answers unread: what a client asks
for faster than it reads waits as its request, not as a result in our memory.
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
    """The requests of one connection that are under way. Must be made on the running loop."""

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
        """Answer a request with what comes of some work."""
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
    """Decode what a request asks for; absent params are an empty object. Raises `FeatureRefusedError`."""
    try:
        return decode(request.params or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FeatureRefusedError(INVALID_PARAMS, f"invalid params for {request.method}: {error}") from None
