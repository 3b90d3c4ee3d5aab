"""The supervisor's connection to the auth broker: admits and revokes workers, and asks on behalf of the client.

It outlives brokers. The supervisor reports when one has died and when the next is started; requests that may be
repeated are then sent again, logins and logouts fail (docs/security.md, K27).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias

import zmq

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.answers import (
    AuthError,
    BrokerAnswer,
    BrokerMeasured,
    InForce,
    LoginStarted,
    PaceStanding,
    Reloaded,
    Status,
    Succeeded,
    broker_frames,
    read_broker_answer,
)
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.protocol.internal.broker.broadcasts import (
    BROADCASTS,
    AuthChanged,
    Broadcast,
    CredentialStanding,
    LoginComplete,
    McpLoginComplete,
    read_broadcast,
)
from greenroom.protocol.internal.broker.questions import (
    Attach,
    BrokerQuestion,
    Detach,
    GetStatus,
    LeaveNodes,
    LoginApiKey,
    LoginCancel,
    LoginStart,
    Logout,
    McpLoginStart,
    MeasureBroker,
    Reload,
)
from greenroom.protocol.internal.process import KeyPair
from greenroom.runtime.rpc_client import TERMINATED, RpcClient
from greenroom.runtime.zmq.zmq_stream import ZmqStream
from greenroom.supervisor.processes.broadcasts import OnBroadcast

log = logging.getLogger(__name__)

RECONNECT: Final = 20
"""Milliseconds between two attempts to connect while the broker is not there."""
TIMEOUT: Final = 40.0
"""Seconds that a request may take."""
MEASURE_TIMEOUT: Final = 1.0
STATUS_TIMEOUT: Final = 10.0
REFRESH_TIMEOUT: Final = 30.0
"""Seconds after which a status is answered from what is known, without and with a refresh."""

OnMcpLogin: TypeAlias = Callable[[McpLoginComplete], None]

_NOT_TWICE: Final = (LoginStart, LoginCancel, LoginApiKey, McpLoginStart, Logout)
"""Requests that a dead broker may have carried out."""


class BrokerError(GreenroomError):
    """The broker answered with an error, or is gone."""

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.user_text or f"the auth broker answered {error.code}")
        self.error = error


class BrokerClient:
    """One supervisor's requests. Needs a running loop; `close` it before the context ends.

    `on_broadcast` is called with unsolicited messages: `AuthChanged` once all workers know, except after a login or
    logout of this client, whose answer says it; exactly one `LoginComplete` for each login that was started;
    `AuthProblem`. A change of the mode while there was no broker is reported as an `AuthChanged` of the next one.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        keys: KeyPair,
        address: str,
        broker_key: str,
        on_broadcast: OnBroadcast | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dial: Callable[[], ZmqStream] = lambda: ZmqStream(_dealer(context, keys, address, broker_key), self._take)
        self._port: ZmqStream | None = self._dial()
        self._on_broadcast = on_broadcast
        self._requests = RpcClient(self._send, BrokerError, _NOT_TWICE)
        self._logins: set[str] = set()
        self._mcp_logins: dict[str, OnMcpLogin] = {}
        self._state: CredentialStanding | None = None
        self._mode: AuthMode = "none"
        """The mode that is known to be in force: answers report it before the standing does."""
        self._has_successor = False
        self._is_connected = False
        self.paces: tuple[PaceStanding, ...] = ()
        """The rate limits as they were when the broker was measured last."""
        self._introduce()

    @property
    def standing(self) -> CredentialStanding | None:
        """The state as far as it is known, also while there is no broker; `None` until the first has reported."""
        return self._state

    @property
    def is_connected(self) -> bool:
        """Whether the present broker has sent anything yet."""
        return self._is_connected

    @property
    def is_given_up(self) -> bool:
        """Whether no other broker will be started."""
        return self._requests.is_given_up

    async def attach(self, keys: Mapping[WorkerId, str], *, on_node: bool = False) -> None:
        """Admit workers, of this machine or of a node: public key (Z85) by worker. Raises `BrokerError`."""
        await self._requests.ask(Attach(keys=dict(keys), on_node=on_node), Succeeded, TIMEOUT)

    def detach(self, worker_ids: Iterable[WorkerId]) -> None:
        """Revoke workers. Does not wait."""
        self._requests.begin(Detach(worker_ids=tuple(worker_ids)))

    async def status(self, *, include_token: bool = False, refresh: bool = False) -> Status:
        """Ask for the status. Never fails: without an answer in time it returns what is known, without a token."""
        timeout_s = REFRESH_TIMEOUT if refresh else STATUS_TIMEOUT
        question = GetStatus(include_token=include_token, refresh=refresh, deadline_ms=int(timeout_s * 900))
        try:
            return await self._requests.ask(question, Status, timeout_s)
        except BrokerError as error:
            log.warning("status: %s", error)
            state = "SIGNED_OUT" if self._state is None else self._state.state
            return Status(mode=self._mode, state=state, generation=0)

    async def measure(self) -> Footprint:
        """Ask for the footprint of the broker's process, and learn of the `paces`. Raises `BrokerError`."""
        measured = await self._requests.ask(MeasureBroker(), BrokerMeasured, MEASURE_TIMEOUT)
        self.paces = measured.paces
        return measured.footprint

    async def login_start(self, method: Literal["browser", "device"] = "browser") -> LoginStarted:
        """Begin a login; one under way ends first, with its `LoginComplete`. Raises `BrokerError`."""
        return await self._requests.ask(LoginStart(method=method), LoginStarted, TIMEOUT)

    async def mcp_login_start(self, question: McpLoginStart, on_complete: OnMcpLogin) -> LoginStarted:
        """Begin the login of an MCP server; `on_complete` is called once when it has ended. Raises `BrokerError`."""
        self._mcp_logins[question.login_id] = on_complete
        try:
            return await self._requests.ask(question, LoginStarted, TIMEOUT)
        except BaseException:
            self._mcp_logins.pop(question.login_id, None)
            raise

    async def login_cancel(self, login_id: str) -> bool:
        """Cancel a login; return whether it was under way. Raises `BrokerError`."""
        try:
            await self._requests.ask(LoginCancel(login_id=login_id), Succeeded, TIMEOUT)
        except BrokerError as error:
            if error.error.code != "not_found":
                raise
            return False
        return True

    async def login_api_key(self, api_key: str) -> InForce:
        """Log in with a key; every worker knows when this returns. Raises `BrokerError`."""
        return await self._requests.ask(LoginApiKey(api_key=api_key), InForce, TIMEOUT)

    async def logout(self, *, revoke: bool = False) -> InForce:
        """Log out; every worker knows when this returns. Raises `BrokerError`."""
        return await self._requests.ask(Logout(revoke=revoke), InForce, TIMEOUT)

    async def reload(self) -> Reloaded:
        """Make the broker read the store now. Raises `BrokerError`."""
        return await self._requests.ask(Reload(), Reloaded, TIMEOUT)

    def leave_nodes(self) -> None:
        """Have the broker stop listening for workers on nodes. Does not wait."""
        self._requests.begin(LeaveNodes())

    def broker_died(self) -> None:
        """Handle the death of the broker: logins and logouts fail, other requests wait for the next broker."""
        self._hang_up()
        self.paces = ()
        self._requests.disconnected()
        for login_id in list(self._logins):
            error = f"Login server error: {TERMINATED}"
            self._receive_broadcast(LoginComplete(login_id=login_id, success=False, error=error, mode=self._mode))
        for login_id in list(self._mcp_logins):
            self._receive_broadcast(McpLoginComplete(login_id=login_id, success=False, error=TERMINATED))

    def broker_started(self) -> None:
        """Handle the start of the next broker, whose `BrokerSpec` names all present workers."""
        self._hang_up()
        self._has_successor = True
        self._port = self._dial()
        self._requests.connected()
        self._introduce()

    def broker_given_up(self) -> None:
        """Handle that no other broker will be started: requests fail at once."""
        self._hang_up()
        self._requests.give_up()

    def close(self) -> None:
        """Close the socket and cancel open requests."""
        self._hang_up()
        self._requests.close()

    def _hang_up(self) -> None:
        """Disconnect and drop the send queue: the next broker must not carry out requests that have failed here."""
        self._is_connected = False
        if self._port is not None:
            self._port.close()
            self._port = None

    def _introduce(self) -> None:
        """Send a first message: a ROUTER can send broadcasts only to peers that have sent something."""
        self._requests.begin(Attach(keys={}))

    def _send(self, message_id: bytes, question: BrokerQuestion) -> None:
        if self._port is not None:
            self._port.send(broker_frames(message_id, question))

    def _take(self, message: list[zmq.Frame]) -> None:
        self._is_connected = True
        parts = [frame.bytes for frame in message]
        if parts[0] in BROADCASTS:
            self._receive_broadcast(read_broadcast(parts))
            return
        received = read_broker_answer(parts)
        if self._requests.receive(received):
            self._learn(received.answer)

    def _learn(self, answer: BrokerAnswer) -> None:
        if isinstance(answer, LoginStarted):
            self._logins.add(answer.login_id)
        elif isinstance(answer, InForce) or (isinstance(answer, Status) and self._state is None):
            self._mode = answer.mode

    def _receive_broadcast(self, broadcast: Broadcast) -> None:
        match broadcast:
            case CredentialStanding():
                self._note(broadcast)
                return
            case McpLoginComplete():
                if (on_complete := self._mcp_logins.pop(broadcast.login_id, None)) is not None:
                    self._loop.call_soon(on_complete, broadcast)
                return
            case LoginComplete(login_id=login_id) if login_id not in self._logins:
                return
            case LoginComplete():
                self._logins.discard(broadcast.login_id)
                self._mode = broadcast.mode
            case AuthChanged():
                self._mode = broadcast.mode
        self._pass_on(broadcast)

    def _note(self, standing: CredentialStanding) -> None:
        before, self._mode = self._mode, standing.mode
        is_successor, self._has_successor = self._has_successor and self._state is not None, False
        self._state = standing
        if is_successor and before != standing.mode:
            self._pass_on(
                AuthChanged(
                    generation=standing.generation,
                    state=standing.state,
                    mode=standing.mode,
                    plan_type=standing.plan_type,
                    identity_changed=True,
                    mode_changed=True,
                    reason="external",
                )
            )

    def _pass_on(self, broadcast: Broadcast) -> None:
        if self._on_broadcast is not None:
            # Later, so that the one that awaits the answer to a question gets that first.
            self._loop.call_soon(self._on_broadcast, broadcast)


def _dealer(
    context: "zmq.Context[zmq.Socket[bytes]]", keys: KeyPair, address: str, broker_key: str
) -> "zmq.Socket[bytes]":
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = broker_key.encode()
    socket.curve_publickey = keys.public.encode()
    socket.curve_secretkey = keys.secret.encode()
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
    socket.connect(address)
    return socket
