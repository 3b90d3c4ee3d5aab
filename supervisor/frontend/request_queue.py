"""Answers requests, each on a task of its own, exactly once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Peer, Request

log = logging.getLogger(__name__)

T = TypeVar("T")


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answer(NamedTuple):
    """A result as JSON, and what to do once it has been sent."""

    result: bytes = b"{}"
    then: Callable[[], None] = lambda: None


Method: TypeAlias = Callable[[Request], Awaitable[Answer]]


class RequestQueue:
    """The open requests of one connection to a table of methods."""

    def __init__(self, peer: Peer, write: Callable[[bytes], None], methods: Mapping[str, Method]) -> None:
        self._peer = peer
        self._write = write
        self._methods = methods
        self._tasks: set[asyncio.Task[None]] = set()
        self.handlers: Mapping[str, Callable[[Request], None]] = dict.fromkeys(methods, self._start)

    async def close(self) -> None:
        """Answer what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, request: Request) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(request), name=request.method)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._methods[request.method](request)
        except RefusedError as refusal:
            self._write(self._peer.fail(request, refusal.code, str(refusal)))
        except asyncio.CancelledError:
            self._write(self._peer.fail(request, INTERNAL_ERROR, "the server is shutting down"))
            raise
        except Exception as error:
            log.exception("%s broke", request.method)
            text = f"internal error ({type(error).__name__}); the log on standard error has more"
            self._write(self._peer.fail(request, INTERNAL_ERROR, text))
        else:
            self._write(self._peer.respond(request, answer.result))
            answer.then()


def decode(request: Request, kind: type[T]) -> T:
    """Decode the params of a request. Raises `RefusedError`."""
    try:
        return msgspec.json.decode(request.params or b"null", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(INVALID_PARAMS, f"invalid params for {request.method}: {error}") from None
