"""Requests to the auth broker over a connection that may break and be replaced: ids, replies, deadlines, repetition.

Free of I/O: the owner passes in how a message is sent, and reports replies and what becomes of the connection. The
rules are the same for the supervisor and for workers (docs/security.md, K27):

* A request fails with `deadline_exceeded` when its time is over, whatever became of the connection meanwhile.
* While the connection is down, requests wait. They are sent again, under the same id, over the next connection.
* Requests that a dead broker may have carried out are not sent again: they fail when the connection goes down, and at
  once while it is down.
* After `give_up` all requests fail at once, until there is a connection again.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from greenroom.protocol.errors import GreenroomError, RemoteProtocolError
from greenroom.protocol.internal.broker.answers import AuthError, BrokerAnswer, ReceivedAnswer
from greenroom.protocol.internal.broker.questions import BrokerQuestion

UNAVAILABLE: Final = "auth broker unavailable"
TERMINATED: Final = "auth broker terminated"
_TIMED_OUT: Final = AuthError(code="deadline_exceeded", user_text=UNAVAILABLE)
_DOWN: Final = AuthError(code="transient", user_text=UNAVAILABLE)
_LOST: Final = AuthError(code="transient", user_text=TERMINATED)

A = TypeVar("A", bound=BrokerAnswer)
SendQuestion: TypeAlias = Callable[[bytes, BrokerQuestion], object]
"""Sends a message with its id; does not wait."""


class RpcClient:
    """The open requests of one process; any number at once. Belongs to the running loop.

    `error` makes the exception that a failed request raises. `once` are the kinds of requests that are never sent
    again. The first connection counts as up from the beginning, since ZeroMQ queues what is sent until then.
    """

    def __init__(
        self,
        send: SendQuestion,
        error: Callable[[AuthError], GreenroomError],
        once: tuple[type[BrokerQuestion], ...] = (),
    ) -> None:
        self._send = send
        self._error = error
        self._once = once
        self._loop = asyncio.get_running_loop()
        self._prefix = os.urandom(4)
        self._numbers = itertools.count()
        self._open: dict[bytes, tuple[BrokerQuestion, asyncio.Future[BrokerAnswer]]] = {}
        self._is_up = True
        self._given_up: AuthError | None = None

    @property
    def is_up(self) -> bool:
        """Whether requests are sent at once."""
        return self._is_up

    @property
    def is_given_up(self) -> bool:
        """Whether requests fail at once."""
        return self._given_up is not None

    async def ask(self, question: BrokerQuestion, kind: type[A], timeout_s: float) -> A:
        """Return the reply. Raises what `error` makes, and `RemoteProtocolError` where it is not of the kind."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self.begin(question)
        except TimeoutError:
            answer = _TIMED_OUT
        if isinstance(answer, AuthError):
            raise self._error(answer)
        if not isinstance(answer, kind):
            raise RemoteProtocolError(f"the auth broker answered {answer.wire!r}")
        return answer

    def begin(self, question: BrokerQuestion) -> "asyncio.Future[BrokerAnswer]":
        """Send a request without a deadline, and return its reply to come; failures are replies of `AuthError`."""
        future: asyncio.Future[BrokerAnswer] = self._loop.create_future()
        if self._given_up is not None:
            future.set_result(self._given_up)
        elif not self._is_up and isinstance(question, self._once):
            future.set_result(_DOWN)
        else:
            message_id = self._next_id()
            self._open[message_id] = (question, future)
            future.add_done_callback(lambda _: self._open.pop(message_id))
            if self._is_up:
                self._send(message_id, question)
        return future

    def notify(self, question: BrokerQuestion) -> None:
        """Send a message once, and ignore its reply."""
        self._send(self._next_id(), question)

    def receive(self, reply: ReceivedAnswer) -> bool:
        """Take a reply; return whether a request waited for it."""
        _, future = self._open.get(reply.id, (None, None))
        if future is None or future.done():
            return False
        future.set_result(reply.answer)
        return True

    def disconnected(self) -> None:
        """The connection is down: requests wait for the next one, but for those that are sent once."""
        self._is_up = False
        self._fail(_LOST, self._once)

    def connected(self) -> None:
        """There is a new connection in place of the former one: send the open requests."""
        self.disconnected()
        self._is_up = True
        self._given_up = None
        for message_id, (question, future) in self._open.items():
            if not future.done():
                self._send(message_id, question)

    def give_up(self, error: AuthError = _DOWN) -> None:
        """Let open and further requests fail, until there is a connection again."""
        self._is_up = False
        self._given_up = error
        self._fail(error)

    def close(self) -> None:
        """Cancel what is open."""
        for _, future in self._open.values():
            future.cancel()

    def _fail(self, error: AuthError, kinds: tuple[type[BrokerQuestion], ...] | None = None) -> None:
        for question, future in self._open.values():
            if not future.done() and (kinds is None or isinstance(question, kinds)):
                future.set_result(error)

    def _next_id(self) -> bytes:
        return self._prefix + next(self._numbers).to_bytes(4)
