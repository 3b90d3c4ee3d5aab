"""A worker's line to the auth broker: one question for each attempt, no credential kept.

It outlives brokers: what a dead one left unanswered is asked again, under the same id, as soon as the next one lets us
in, which ZeroMQ tells (docs/security.md, K27).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias

import zmq

from greenroom.protocol.errors import UnauthorizedError
from greenroom.protocol.internal.broker.answers import (
    AuthError,
    BearerSnapshot,
    EnvironmentValues,
    McpBearer,
    ProviderToken,
    Slot,
    UnauthorizedReport,
    Welcome,
    broker_frames,
    read_broker_answer,
)
from greenroom.protocol.internal.broker.body import AuthErrorCode
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, RateLimited, read_broadcast
from greenroom.protocol.internal.broker.questions import (
    Acknowledge,
    GetAuth,
    GetEnvironment,
    GetMcpBearer,
    GetProviderToken,
    GetSlot,
    Hello,
    LeaveQueue,
    ReportClock,
    ReportLimited,
    ReportUnauthorized,
    TokenCommand,
)
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.runtime.rpc_client import UNAVAILABLE, RpcClient
from greenroom.runtime.zmq.zmq_stream import ZmqStream

log = logging.getLogger(__name__)

TIMEOUT: Final = 16.0
"""Seconds that a question may take: a little more than the broker gives itself."""
MCP_TIMEOUT: Final = 45.0
"""Seconds for the bearer of an MCP server: its issuer may be slow."""
ABSENCE: Final = 10.0
"""Seconds that the broker may be away before questions fail."""
RECONNECT: Final = 20
"""Milliseconds between two attempts to connect while the broker is not there."""
RECONNECT_LONGEST: Final = 1000
"""Milliseconds to which that grows."""
LONGEST_WAIT: Final = 1e6
"""Seconds of a wait that are told at most."""
_AWAY: Final = AuthError(code="deadline_exceeded", user_text=UNAVAILABLE)

_HANDSHAKE_DONE: Final = 0x1000
_HANDSHAKE_REFUSED: Final = 0x4000
_DISCONNECTED: Final = 0x0200
"""Events of zmq_socket_monitor(3)."""

_RETRYABLE: Final[frozenset[AuthErrorCode]] = frozenset({"transient", "deadline_exceeded"})

OnChange: TypeAlias = Callable[[AuthChanged], None]


class CredentialError(UnauthorizedError):
    """There is no bearer to be had. `error.code` says why, `retryable` whether it is worth another try."""

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.user_text or f"the auth broker answered {error.code}")
        self.error = error

    @property
    def retryable(self) -> bool:
        """Whether it may go away by itself, after `error.retry_after_ms` where that is set."""
        return self.error.code in _RETRYABLE


class CredentialsChannel:
    """One worker's questions; any number may be open at once.

    `on_change` is called with each credential that comes into force, where the spec names a channel for changes.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        spec: WorkerSpec,
        on_change: OnChange | None = None,
        *,
        timeout_s: float = TIMEOUT,
        absence_s: float = ABSENCE,
    ) -> None:
        self._spec = spec
        self._timeout_s, self._absence_s = timeout_s, absence_s
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._requests = RpcClient(lambda *message: self._port.send(broker_frames(*message)), CredentialError)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.limited: set[str] = set()
        """Rate limits for which requests wait in turn."""
        self._clock_report: ReportClock | None = None
        self._is_lost = False
        self._is_connecting = False
        self._welcome: Welcome | None = None
        self._socket = _curve(context.socket(zmq.DEALER), spec)
        monitor = self._socket.get_monitor_socket(_HANDSHAKE_DONE | _HANDSHAKE_REFUSED | _DISCONNECTED)
        self._monitor = ZmqStream(monitor, self._observe)
        self._port = ZmqStream(self._socket, self._take)
        self._subscriber = _curve(context.socket(zmq.SUB), spec) if spec.broadcast_address else None
        self._broadcasts = None if self._subscriber is None else ZmqStream(self._subscriber, self._receive)
        self._must_subscribe = True

    async def start(self) -> Welcome:
        """Connect and greet; return once the broker has let us in. Raises `CredentialError`; may be tried again.

        A worker on a node does so before it needs anything, and asks nothing when it does: that is a round trip.
        """
        if self._welcome is not None:
            return self._welcome
        if not self._is_connecting:
            self._is_connecting = True
            self._expect_within(self._timeout_s)
            self._socket.connect(self._spec.broker_address)
        self._welcome = await self._requests.ask(self._hello(), Welcome, self._timeout_s)
        self.limited.update(self._welcome.limited)
        return self._welcome

    @property
    def is_lost(self) -> bool:
        """Whether the broker is away: dead, most likely, and about to be replaced."""
        return self._is_lost

    async def get_auth(self, pin_identity: str | None = None, min_valid_s: int = 30) -> BearerSnapshot:
        """Return the bearer of the next attempt. Raises `CredentialError`.

        `pin_identity`: the identity key of the turn's first snapshot; another account is then refused.
        """
        question = GetAuth(pin_identity=pin_identity, min_valid_s=min_valid_s)
        return await self._requests.ask(question, BearerSnapshot, self._timeout_s)

    async def get_environment(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of the variables that are set among the ones kept from us. Raises `CredentialError`."""
        answer = await self._requests.ask(GetEnvironment(names=tuple(names)), EnvironmentValues, self._timeout_s)
        return answer.values

    async def report_unauthorized(
        self, snapshot: BearerSnapshot, status: int, error_code: str | None = None, request_id: str | None = None
    ) -> UnauthorizedReport:
        """Say that the model's server refused a bearer, and return what to do. Raises `CredentialError`."""
        question = ReportUnauthorized(
            broker_epoch=snapshot.broker_epoch,
            generation=snapshot.generation,
            http_status=status,
            error_code=error_code,
            request_id=request_id,
        )
        return await self._requests.ask(question, UnauthorizedReport, self._timeout_s)

    def report_clock(self, ahead: float) -> None:
        """Say by how many seconds this machine's clock is ahead of the server's; the next broker is told too.

        A node has another clock than the broker, so it says nothing.
        """
        if self._spec.is_on_node:
            return
        self._clock_report = ReportClock(ahead_s=round(ahead))
        self._requests.notify(self._clock_report)

    async def get_provider_token(self, command: TokenCommand, rejected: int | None = None) -> ProviderToken:
        """Return what a provider's command prints, run once for all workers. Raises `CredentialError`.

        `rejected`: serial of the token that the provider's server refused; it is not served again.
        """
        question = GetProviderToken(command=command, rejected=rejected)
        return await self._requests.ask(question, ProviderToken, command.timeout_ms / 1000 + self._timeout_s)

    async def get_mcp_bearer(self, server: str, url: str, rejected: str | None = None) -> McpBearer:
        """Return the bearer of an MCP server. Raises `CredentialError`.

        `rejected`: serial of the bearer that the server refused; it is not served again.
        """
        return await self._requests.ask(GetMcpBearer(server=server, url=url, rejected=rejected), McpBearer, MCP_TIMEOUT)

    async def get_slot(self, key: str, ticket: int, patience: float) -> Slot:
        """Return how it stands with the turn of a request, after `patience` seconds at most. Raises `CredentialError`.

        `key` and `ticket`: the rate limit and the request.
        """
        question = GetSlot(key=key, ticket=ticket, patience_ms=round(patience * 1000))
        slot = await self._requests.ask(question, Slot, self._timeout_s)
        (self.limited.add if slot.is_limited else self.limited.discard)(key)
        return slot

    def report_limited(self, key: str, ticket: int, serial: int, wait: float | None) -> None:
        """Say that a request was refused because of a rate limit, which asks for `wait` seconds."""
        self.limited.add(key)
        wait_ms = None if wait is None else round(min(wait, LONGEST_WAIT) * 1000)
        report = ReportLimited(key=key, ticket=ticket, serial=serial, wait_ms=wait_ms)
        self._requests.notify(report)

    def leave_queue(self, key: str, ticket: int) -> None:
        """Give up the place of a request."""
        if not self._socket.closed:
            self._requests.notify(LeaveQueue(key=key, ticket=ticket))

    def close(self) -> None:
        """Disconnect and cancel what is open."""
        if self._socket.closed:
            return
        for timer in self._timers.values():
            timer.cancel()
        self._socket.disable_monitor()
        self._monitor.close()
        self._port.close()
        if self._broadcasts is not None:
            self._broadcasts.close()
        self._requests.close()

    def _take(self, message: list[zmq.Frame]) -> None:
        self._requests.receive(read_broker_answer([frame.bytes for frame in message]))

    def _receive(self, message: list[zmq.Frame]) -> None:
        broadcast = read_broadcast([frame.bytes for frame in message])
        if isinstance(broadcast, RateLimited):
            self.limited.add(broadcast.key)
        if not isinstance(broadcast, AuthChanged):
            return
        if self._on_change is not None:
            self._on_change(broadcast)
        self._requests.notify(Acknowledge(generation=broadcast.generation))

    def _observe(self, message: list[zmq.Frame]) -> None:
        _REACTIONS[int.from_bytes(message[0].bytes[:2], "little")](self)

    def _admitted(self) -> None:
        """Greet a broker that has replaced another, and repeat the questions that the former has not answered."""
        self._is_lost = False
        self._cancel("absence")
        self._subscribe()
        if self._requests.is_up:
            return  # the first broker gets what ZeroMQ has queued for it
        self._requests.notify(self._hello())
        if self._clock_report is not None:
            self._requests.notify(self._clock_report)
        self._requests.connected()

    def _refused(self) -> None:
        """Try again: the supervisor may not have told the broker of us yet, and ZeroMQ gives up such an address."""
        self._requests.disconnected()
        self._must_subscribe = True
        self._cancel("again")
        self._timers["again"] = self._loop.call_later(RECONNECT / 1000, self._connect_again)

    def _subscribe(self) -> None:
        """Listen to broadcasts once we are let in: a refusal would have made ZeroMQ give up that address too."""
        if self._subscriber is None or not self._must_subscribe:
            return
        self._must_subscribe = False
        with suppress(zmq.ZMQError):  # there was nothing to disconnect
            self._subscriber.disconnect(self._spec.broadcast_address)
        self._subscriber.connect(self._spec.broadcast_address)

    def _lost(self) -> None:
        self._is_lost = True
        self._requests.disconnected()
        self._expect_within(self._absence_s)

    def _expect_within(self, seconds: float) -> None:
        """Let requests fail where the broker has not let us in by then, until it does."""
        self._cancel("absence")
        self._timers["absence"] = self._loop.call_later(seconds, self._requests.give_up, _AWAY)

    def _connect_again(self) -> None:
        self._socket.disconnect(self._spec.broker_address)
        self._socket.connect(self._spec.broker_address)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _hello(self) -> Hello:
        return Hello(worker_id=self._spec.id, listens=self._broadcasts is not None)


_REACTIONS: Final[dict[int, Callable[[CredentialsChannel], None]]] = {
    _HANDSHAKE_DONE: CredentialsChannel._admitted,  # noqa: SLF001 - the table of this very class
    _HANDSHAKE_REFUSED: CredentialsChannel._refused,  # noqa: SLF001
    _DISCONNECTED: CredentialsChannel._lost,  # noqa: SLF001
}


def _curve(socket: "zmq.Socket[bytes]", spec: WorkerSpec) -> "zmq.Socket[bytes]":
    socket.curve_serverkey = spec.broker_key.encode()
    socket.curve_publickey = spec.keys.public.encode()
    socket.curve_secretkey = spec.keys.secret.encode()
    socket.setsockopt(zmq.LINGER, 0)  # counts for connections made from here on, also those given up meanwhile
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_LONGEST)
    if socket.type == zmq.SUB:
        for broadcast in (AuthChanged, RateLimited):
            socket.setsockopt(zmq.SUBSCRIBE, broadcast.wire)
    return socket
