"""A worker's line to the auth broker: one question for each attempt, no credential kept (spec/auth 7.9)."""

import asyncio
import itertools
import logging
import os
from collections.abc import Iterable
from typing import Final, TypeVar

import zmq

from protocol.birth import WorkerBirth
from protocol.credentials import (
    Answer,
    AuthError,
    AuthErrorCode,
    Environment,
    GetAuth,
    GetEnvironment,
    Hello,
    Question,
    ReportUnauthorized,
    Snapshot,
    UnauthorizedReport,
    Welcome,
    frames,
    read_answer,
)
from protocol.errors import RemoteProtocolError, UnauthorizedError
from runtime.port import Port

log = logging.getLogger(__name__)

PATIENCE: Final = 15.0
"""Seconds that a question may take."""
RECONNECT: Final = 20
"""Milliseconds between two attempts to connect while the broker is not there."""
RECONNECT_LONGEST: Final = 1000
"""Milliseconds to which that grows."""

_HANDSHAKE_DONE: Final = 0x1000
_HANDSHAKE_REFUSED: Final = 0x4000
_DISCONNECTED: Final = 0x200
"""Events of zmq_socket_monitor(3)."""

_RETRYABLE: Final[frozenset[AuthErrorCode]] = frozenset({"transient", "deadline_exceeded"})
_TEXTS: Final[dict[AuthErrorCode, str]] = {
    "signed_out": "Not logged in",
    "transient": "auth broker unavailable",
    "deadline_exceeded": "auth broker unavailable",
    "store_malformed": "auth.json cannot be read; log in again",
}

A = TypeVar("A", bound=Answer)


class CredentialError(UnauthorizedError):
    """There is no bearer to be had. `error.code` says why, `retryable` whether it is worth another try."""

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.user_text or _TEXTS.get(error.code, f"the auth broker answered {error.code}"))
        self.error = error

    @property
    def retryable(self) -> bool:
        """Whether it may go away by itself, after `error.retry_after_ms` where that is set (K19)."""
        return self.error.code in _RETRYABLE


class CredentialsChannel:
    """One worker's questions; any number may be open at once."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", birth: WorkerBirth) -> None:
        self._birth = birth
        self._prefix = os.urandom(4)
        self._numbers = itertools.count()
        self._open: dict[bytes, tuple[Question, asyncio.Future[Answer]]] = {}
        self._socket = _dealer(context, birth)
        monitor = self._socket.get_monitor_socket(_HANDSHAKE_DONE | _HANDSHAKE_REFUSED | _DISCONNECTED)
        self._monitor = Port(monitor, self._observe)
        self._port = Port(self._socket, self._take)
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._connected_before = False

    async def start(self) -> Welcome:
        """Connect and greet; return once the broker has let us in. Raises `CredentialError`."""
        self._socket.connect(self._birth.broker_address)
        return await self._ask(Hello(worker_id=self._birth.id), Welcome)

    async def get_auth(self, pin_identity: str | None = None, min_valid_s: int = 30) -> Snapshot:
        """Return the bearer of the next attempt. Raises `CredentialError`.

        `pin_identity`: the identity key of the turn's first snapshot; another account is then refused.
        """
        return await self._ask(GetAuth(pin_identity=pin_identity, min_valid_s=min_valid_s), Snapshot)

    async def get_environment(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of the variables that are set among the ones kept from us. Raises `CredentialError`."""
        answer = await self._ask(GetEnvironment(names=tuple(names)), Environment)
        return answer.values

    async def report_unauthorized(
        self, snapshot: Snapshot, status: int, error_code: str | None = None, request_id: str | None = None
    ) -> UnauthorizedReport:
        """Say that the model's server refused a bearer, and return what to do (K20). Raises `CredentialError`."""
        question = ReportUnauthorized(
            broker_epoch=snapshot.broker_epoch,
            generation=snapshot.generation,
            http_status=status,
            error_code=error_code,
            request_id=request_id,
        )
        return await self._ask(question, UnauthorizedReport)

    def close(self) -> None:
        """Disconnect and cancel what is open."""
        if self._again is not None:
            self._again.cancel()
        self._socket.disable_monitor()
        self._monitor.close()
        self._port.close()
        for _, future in self._open.values():
            future.cancel()

    async def _ask(self, question: Question, kind: type[A]) -> A:
        message_id = self._prefix + next(self._numbers).to_bytes(4)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._open[message_id] = (question, future)
        self._port.send(frames(message_id, question))
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await future
        except TimeoutError:
            answer = AuthError(code="deadline_exceeded")
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

    def _observe(self, message: list[zmq.Frame]) -> None:
        event = int.from_bytes(message[0].bytes[:2], "little")
        if event == _HANDSHAKE_DONE:
            self._connected()
        elif event == _HANDSHAKE_REFUSED:
            # ZeroMQ gives up an address that refused it; the supervisor may not have told the broker of us yet.
            self._again = self._loop.call_later(RECONNECT / 1000, self._connect_again)

    def _connected(self) -> None:
        """Ask again what a broker that has died since cannot have answered; ids tell it what it has seen (K27)."""
        if self._connected_before:
            for message_id, (question, _) in self._open.items():
                self._port.send(frames(message_id, question))
        self._connected_before = True

    def _connect_again(self) -> None:
        self._connected_before = True
        self._socket.disconnect(self._birth.broker_address)
        self._socket.connect(self._birth.broker_address)


def _dealer(context: "zmq.Context[zmq.Socket[bytes]]", birth: WorkerBirth) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = birth.broker_key.encode()
    socket.curve_publickey = birth.keys.public.encode()
    socket.curve_secretkey = birth.keys.secret.encode()
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_LONGEST)
    return socket
