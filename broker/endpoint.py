"""The broker's socket: authorizes each request by its sender's key, and sends answers (docs/security.md, K2, K3)."""

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import zmq

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.broker.answers import AuthError, BrokerAnswer, broker_frames
from greenroom.protocol.internal.broker.broadcasts import Broadcast, broadcast_frames
from greenroom.protocol.internal.broker.questions import SUPERVISOR_MAY, WORKER_MAY, BrokerQuestion, read_question
from greenroom.runtime.zmq.zap import sender

log = logging.getLogger(__name__)

SUPERVISOR: Final = "supervisor"
"""The name under which the supervisor's key is admitted."""
LARGEST_QUESTION: Final = 256 * 1024
"""Bytes of all frames of a request."""
STRIKES: Final = 3
"""Violations after which a key is dropped."""
REMEMBERED: Final = 1024
"""Requests whose ids are kept, so that one that is sent twice is answered once."""

UNTOLD: Final = 16
"""Broadcasts that are kept for a supervisor that has not sent anything yet."""

EndpointReply: TypeAlias = BrokerAnswer | Awaitable[BrokerAnswer | None] | None
Q = TypeVar("Q", bound=BrokerQuestion)
SendFrames: TypeAlias = Callable[[Sequence[bytes]], object]


class BrokerEndpoint:
    """Reads requests from the broker's socket. Must be entered: its tasks end with it."""

    def __init__(self, send: SendFrames, revoke: Callable[[str], None]) -> None:
        self._handlers: dict[bytes, Callable[[str, Any], EndpointReply]] = {}
        self._send = send
        self._revoke = revoke
        self._known: set[str] = set()
        self._strikes: Counter[str] = Counter()
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._supervisor: bytes | None = None
        self._untold: deque[Broadcast] = deque(maxlen=UNTOLD)
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, kind: type[Q], handler: Callable[[str, Q], EndpointReply]) -> None:
        """Let `handler` answer the requests of a kind; it gets the name of the sender."""
        self._handlers[kind.wire] = handler

    def take(self, message: list[zmq.Frame]) -> None:
        """Handle one message."""
        name, route, parts = sender(message[0]), message[0].bytes, [frame.bytes for frame in message[1:]]
        if self._is_closed or name not in self._known:
            return
        if name == SUPERVISOR and self._supervisor != route:
            self._found_supervisor(route)
        message_id = parts[1] if len(parts) == 3 else b""
        if parts[0] not in (SUPERVISOR_MAY if name == SUPERVISOR else WORKER_MAY):
            self._refuse(name, route, message_id, AuthError(code="forbidden"))
            return
        try:
            if sum(map(len, parts)) > LARGEST_QUESTION:
                raise RemoteProtocolError("a question that is too large")
            received = read_question(parts)
        except RemoteProtocolError as error:
            log.warning("%s: %s", name, error)
            self._refuse(name, route, message_id, AuthError(code="protocol"))
            return
        if not self._is_repeated(name, message_id):
            self._answer(name, route, message_id, received.question)

    def notify_supervisor(self, broadcast: Broadcast) -> None:
        """Send a broadcast to the supervisor, after its first request at the earliest."""
        if self._supervisor is None:
            self._untold.append(broadcast)
        else:
            self._send([self._supervisor, *broadcast_frames(broadcast)])

    def welcome(self, name: str) -> None:
        """Accept requests under a name that was admitted."""
        self._known.add(name)

    def forget(self, name: str) -> None:
        """Accept no more requests under a name, though the connection may stand."""
        self._known.discard(name)
        del self._strikes[name]

    async def close(self) -> None:
        """Accept no more requests, and drop those that are still open."""
        self._is_closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _found_supervisor(self, route: bytes) -> None:
        self._supervisor = route
        while self._untold:
            self.notify_supervisor(self._untold.popleft())

    def _is_repeated(self, name: str, message_id: bytes) -> bool:
        if (name, message_id) in self._seen:
            return True
        self._seen[name, message_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _answer(self, name: str, route: bytes, message_id: bytes, question: BrokerQuestion) -> None:
        try:
            answer = self._handlers[question.wire](name, question)
        except Exception:
            log.exception("a question could not be answered")
            answer = AuthError(code="transient", reason="internal")
        if answer is None:
            return
        if isinstance(answer, Awaitable):
            task = asyncio.get_running_loop().create_task(self._answer_later(route, message_id, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._send([route, *broker_frames(message_id, answer)])

    async def _answer_later(self, route: bytes, message_id: bytes, pending: Awaitable[BrokerAnswer | None]) -> None:
        try:
            answer = await pending
        except Exception:
            log.exception("a question could not be answered")
            answer = AuthError(code="transient", reason="internal")
        if answer is not None:
            self._send([route, *broker_frames(message_id, answer)])

    def _refuse(self, name: str, route: bytes, message_id: bytes, error: AuthError) -> None:
        self._strikes[name] += 1
        log.warning("%s: violation %d (%s)", name, self._strikes[name], error.code)
        self._send([route, *broker_frames(message_id, error)])
        if self._strikes[name] >= STRIKES:
            log.warning("%s: key dropped", name)
            self.forget(name)
            self._revoke(name)
