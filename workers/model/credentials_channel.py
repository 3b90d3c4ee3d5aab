"""A worker's connection to the auth broker: one request per attempt; no credential is kept.

It survives brokers: requests that a dead broker has not answered are repeated, with the same id, as soon as the next
one admits this worker, which ZeroMQ's monitor reports (docs/security.md, K27).
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

import zmq

from greenroom.protocol.errors import RemoteProtocolError, UnauthorizedError
from greenroom.protocol.internal.broker import (
    Acknowledge,
    Answer,
    AuthChanged,
    AuthError,
    AuthErrorCode,
    BearerSnapshot,
    EnvironmentValues,
    GetAuth,
    GetEnvironment,
    GetMcpBearer,
    GetProviderToken,
    GetSlot,
    Hello,
    LeaveQueue,
    McpBearer,
    ProviderToken,
    Question,
    RateLimited,
    ReportClock,
    ReportLimited,
    ReportUnauthorized,
    Slot,
    TokenCommand,
    UnauthorizedReport,
    Welcome,
    frames,
    read_answer,
    read_broadcast,
)
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.runtime.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

TIMEOUT: Final = 16.0
"""Seconds for an answer: a little more than the broker allows itself."""
MCP_TIMEOUT: Final = 45.0
"""Seconds for the token of an MCP server, whose issuer may be slow."""
ABSENCE: Final = 10.0
"""Seconds that the broker may be away before requests fail."""
RECONNECT: Final = 20
"""Milliseconds between two attempts to connect while the broker is not there."""
RECONNECT_LONGEST: Final = 1000
"""Milliseconds to which that interval grows."""
LONGEST_WAIT: Final = 1e6
"""Maximum seconds of a wait in a request."""
UNAVAILABLE: Final = "auth broker unavailable"
_AWAY: Final = AuthError(code="deadline_exceeded", user_text=UNAVAILABLE)

_HANDSHAKE_DONE: Final = 0x1000
_HANDSHAKE_REFUSED: Final = 0x4000
_DISCONNECTED: Final = 0x0200
"""Events of zmq_socket_monitor(3)."""

_RETRYABLE: Final[frozenset[AuthErrorCode]] = frozenset({"transient", "deadline_exceeded"})

A = TypeVar("A", bound=Answer)
OnChange: TypeAlias = Callable[[AuthChanged], None]


class CredentialError(UnauthorizedError):
    """No token is available. `error.code` says why, `retryable` whether to try again."""

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.user_text or f"the auth broker answered {error.code}")
        self.error = error

    @property
    def retryable(self) -> bool:
        """Whether it may go away by itself, after `error.retry_after_ms` if that is set."""
        return self.error.code in _RETRYABLE


class CredentialsChannel:
    """The requests of one worker, of which any number may be open at once.

    `on_change` is called with each new credential, if the process specification names a publisher of changes.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", spec: WorkerSpec, on_change: OnChange | None = None
    ) -> None:
        self._spec = spec
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._prefix = os.urandom(4)
        self._numbers = itertools.count()
        self._open: dict[bytes, tuple[Question, asyncio.Future[Answer]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.limited: set[str] = set()
        """Rate limits under which requests wait for their turn."""
        self._clock_report: ReportClock | None = None
        self._is_lost = False
        self._is_absent = False
        """The broker has been away for longer than a restart takes, so nothing waits for it any more."""
        self._is_connecting = False
        self._is_first = True
        self._socket = _curve(context.socket(zmq.DEALER), spec)
        monitor = self._socket.get_monitor_socket(_HANDSHAKE_DONE | _HANDSHAKE_REFUSED | _DISCONNECTED)
        self._monitor = ZmqStream(monitor, self._observe)
        self._port = ZmqStream(self._socket, self._take)
        self._subscriber = _curve(context.socket(zmq.SUB), spec) if spec.broadcast_address else None
        self._broadcasts = None if self._subscriber is None else ZmqStream(self._subscriber, self._hear)
        self._must_subscribe = True

    async def start(self) -> Welcome:
        """Connect and greet; return once the broker has admitted this worker. Raises `CredentialError`; may be
        retried."""
        if not self._is_connecting:
            self._is_connecting = True
            self._socket.connect(self._spec.broker_address)
        welcome = await self._ask(self._hello(), Welcome)
        self.limited.update(welcome.limited)
        return welcome

    @property
    def is_lost(self) -> bool:
        """Whether the broker is away: probably dead, and about to be replaced."""
        return self._is_lost

    async def get_auth(self, pin_identity: str | None = None, min_valid_s: int = 30) -> BearerSnapshot:
        """Return the token for the next attempt. Raises `CredentialError`.

        `pin_identity`: the identity key of the turn's first snapshot; a different account is then refused.
        """
        return await self._ask(GetAuth(pin_identity=pin_identity, min_valid_s=min_valid_s), BearerSnapshot)

    async def get_environment(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of withheld variables that are set. Raises `CredentialError`."""
        answer = await self._ask(GetEnvironment(names=tuple(names)), EnvironmentValues)
        return answer.values

    async def report_unauthorized(
        self, snapshot: BearerSnapshot, status: int, error_code: str | None = None, request_id: str | None = None
    ) -> UnauthorizedReport:
        """Report that the model's server rejected a token, and return what to do. Raises `CredentialError`."""
        question = ReportUnauthorized(
            broker_epoch=snapshot.broker_epoch,
            generation=snapshot.generation,
            http_status=status,
            error_code=error_code,
            request_id=request_id,
        )
        return await self._ask(question, UnauthorizedReport)

    def report_clock(self, ahead: float) -> None:
        """Report by how many seconds this machine's clock is ahead of the server's; repeated to the next broker."""
        self._clock_report = ReportClock(ahead_s=round(ahead))
        self._port.send(frames(self._next_id(), self._clock_report))

    async def get_provider_token(self, command: TokenCommand, rejected: int | None = None) -> ProviderToken:
        """Return the output of a provider's command, run once for all workers. Raises `CredentialError`.

        `rejected`: serial of the token that the provider's server rejected; it is not returned again.
        """
        question = GetProviderToken(command=command, rejected=rejected)
        return await self._ask(question, ProviderToken, command.timeout_ms / 1000 + TIMEOUT)

    async def get_mcp_bearer(self, server: str, url: str, rejected: str | None = None) -> McpBearer:
        """Return the token of an MCP server. Raises `CredentialError`.

        `rejected`: serial of the token that the server rejected; it is not returned again.
        """
        return await self._ask(GetMcpBearer(server=server, url=url, rejected=rejected), McpBearer, MCP_TIMEOUT)

    async def get_slot(self, key: str, ticket: int, patience: float) -> Slot:
        """Return the state of a request's turn, after at most `patience` seconds. Raises `CredentialError`.

        `key` and `ticket` identify the rate limit and the request.
        """
        question = GetSlot(key=key, ticket=ticket, patience_ms=round(patience * 1000))
        slot = await self._ask(question, Slot)
        (self.limited.add if slot.is_limited else self.limited.discard)(key)
        return slot

    def report_limited(self, key: str, ticket: int, serial: int, wait: float | None) -> None:
        """Report that a request was rejected because of a rate limit, with a wait of `wait` seconds."""
        self.limited.add(key)
        wait_ms = None if wait is None else round(min(wait, LONGEST_WAIT) * 1000)
        report = ReportLimited(key=key, ticket=ticket, serial=serial, wait_ms=wait_ms)
        self._port.send(frames(self._next_id(), report))

    def leave_queue(self, key: str, ticket: int) -> None:
        """Give up the turn of a request."""
        if not self._socket.closed:
            self._port.send(frames(self._next_id(), LeaveQueue(key=key, ticket=ticket)))

    def close(self) -> None:
        """Disconnect and cancel open requests."""
        if self._socket.closed:
            return
        for timer in self._timers.values():
            timer.cancel()
        self._socket.disable_monitor()
        self._monitor.close()
        self._port.close()
        if self._broadcasts is not None:
            self._broadcasts.close()
        for _, future in self._open.values():
            future.cancel()

    async def _ask(self, question: Question, kind: type[A], timeout_s: float = TIMEOUT) -> A:
        if self._is_absent:
            raise CredentialError(_AWAY)
        message_id = self._next_id()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._open[message_id] = (question, future)
        self._port.send(frames(message_id, question))
        try:
            async with asyncio.timeout(ABSENCE if self._is_lost else timeout_s):
                answer = await future
        except TimeoutError:
            self._is_absent = self._is_first
            answer = _AWAY
        finally:
            del self._open[message_id]
        if isinstance(answer, AuthError):
            raise CredentialError(answer)
        if not isinstance(answer, kind):
            raise RemoteProtocolError(f"the auth broker answered {answer.wire!r}")
        return answer

    def _take(self, message: list[zmq.Frame]) -> None:
        received = read_answer([frame.bytes for frame in message])
        _, future = self._open.get(received.id, (None, None))
        if future is not None and not future.done():
            future.set_result(received.answer)

    def _hear(self, message: list[zmq.Frame]) -> None:
        broadcast = read_broadcast([frame.bytes for frame in message])
        if isinstance(broadcast, RateLimited):
            self.limited.add(broadcast.key)
        if not isinstance(broadcast, AuthChanged):
            return
        if self._on_change is not None:
            self._on_change(broadcast)
        self._port.send(frames(self._next_id(), Acknowledge(generation=broadcast.generation)))

    def _observe(self, message: list[zmq.Frame]) -> None:
        _REACTIONS[int.from_bytes(message[0].bytes[:2], "little")](self)

    def _admitted(self) -> None:
        """Greet a new broker, and repeat the requests that the previous one has not answered."""
        self._is_lost = self._is_absent = False
        self._cancel("absence")
        self._subscribe()
        if self._is_first:
            self._is_first = False
            return
        self._port.send(frames(self._next_id(), self._hello()))
        if self._clock_report is not None:
            self._port.send(frames(self._next_id(), self._clock_report))
        for message_id, (question, _) in self._open.items():
            self._port.send(frames(message_id, question))

    def _refused(self) -> None:
        """Reconnect: the supervisor may not have told the broker of this worker yet, and ZeroMQ gives up an address
        after a failed handshake."""
        self._is_first = False
        self._must_subscribe = True
        self._cancel("again")
        self._timers["again"] = self._loop.call_later(RECONNECT / 1000, self._connect_again)

    def _subscribe(self) -> None:
        """Subscribe to broadcasts after admission: a failed handshake would have made ZeroMQ give up that address
        too."""
        if self._subscriber is None or not self._must_subscribe:
            return
        self._must_subscribe = False
        with suppress(zmq.ZMQError):  # there was nothing to disconnect
            self._subscriber.disconnect(self._spec.broadcast_address)
        self._subscriber.connect(self._spec.broadcast_address)

    def _lost(self) -> None:
        self._is_lost = True
        self._cancel("absence")
        self._timers["absence"] = self._loop.call_later(ABSENCE, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        self._is_absent = True
        for _, future in self._open.values():
            if not future.done():
                future.set_result(_AWAY)

    def _connect_again(self) -> None:
        self._socket.disconnect(self._spec.broker_address)
        self._socket.connect(self._spec.broker_address)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _hello(self) -> Hello:
        return Hello(worker_id=self._spec.id, listens=self._broadcasts is not None)

    def _next_id(self) -> bytes:
        return self._prefix + next(self._numbers).to_bytes(4)


_REACTIONS: Final[dict[int, Callable[[CredentialsChannel], None]]] = {
    _HANDSHAKE_DONE: CredentialsChannel._admitted,  # noqa: SLF001 - the table of this very class
    _HANDSHAKE_REFUSED: CredentialsChannel._refused,  # noqa: SLF001
    _DISCONNECTED: CredentialsChannel._lost,  # noqa: SLF001
}


def _curve(socket: "zmq.Socket[bytes]", spec: WorkerSpec) -> "zmq.Socket[bytes]":
    socket.curve_serverkey = spec.broker_key.encode()
    socket.curve_publickey = spec.keys.public.encode()
    socket.curve_secretkey = spec.keys.secret.encode()
    socket.setsockopt(zmq.LINGER, 0)  # applies to connections made from here on, including those given up meanwhile
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_LONGEST)
    if socket.type == zmq.SUB:
        for broadcast in (AuthChanged, RateLimited):
            socket.setsockopt(zmq.SUBSCRIBE, broadcast.wire)
    return socket
