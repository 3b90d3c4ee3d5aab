"""The auth broker's process: its sockets, its access control, and its end."""

import asyncio
import hmac
import logging
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from greenroom.broker.change_fanout import ChangeFanout
from greenroom.broker.clock import Clock
from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.credential.rules import LoginRules
from greenroom.broker.credential_manager import CredentialManager
from greenroom.broker.endpoint import SUPERVISOR, BrokerEndpoint
from greenroom.broker.login.logins import Flow, LoggedIn, Logins, OpenFlow, record_of
from greenroom.broker.login.revocation import revoke_login
from greenroom.broker.node_grants import NodeGrants
from greenroom.broker.pace_service import PaceService
from greenroom.broker.refresh.exchange import InProcessExecutor, RefreshExecutor
from greenroom.broker.refresh.refresher import SHUTDOWN_TIMEOUT, Refresher
from greenroom.broker.refresh.subprocess import SubprocessExecutor
from greenroom.broker.storage.store import Store, open_store
from greenroom.broker.token_commands import TokenCommands
from greenroom.broker.token_issuer.client import Issuer
from greenroom.broker.token_issuer.endpoints import VARIABLES, IssuerEndpoints
from greenroom.broker.token_service import TokenService
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.broker.answers import (
    AuthError,
    BrokerMeasured,
    EnvironmentValues,
    InForce,
    LoginStarted,
    ProviderToken,
    Reloaded,
    Succeeded,
    Welcome,
)
from greenroom.protocol.internal.broker.broadcasts import (
    AuthChanged,
    Broadcast,
    CredentialStanding,
    LoginComplete,
    Stopping,
    broadcast_frames,
)
from greenroom.protocol.internal.broker.questions import (
    Acknowledge,
    Attach,
    Detach,
    GetAuth,
    GetEnvironment,
    GetMcpBearer,
    GetProviderToken,
    GetSlot,
    GetStatus,
    Hello,
    LeaveNodes,
    LeaveQueue,
    LoginApiKey,
    LoginCancel,
    LoginStart,
    Logout,
    McpLoginStart,
    MeasureBroker,
    Reload,
    ReportClock,
    ReportLimited,
    ReportUnauthorized,
)
from greenroom.protocol.internal.process import BrokerSpec
from greenroom.runtime.log import log as logs
from greenroom.runtime.log import logfile
from greenroom.runtime.process import footprint, hardening
from greenroom.runtime.zmq.keep_alive import keep_alive
from greenroom.runtime.zmq.zap import ZapAuthenticator, sender, start_authenticator
from greenroom.runtime.zmq.zmq_stream import ZmqStream

if TYPE_CHECKING:
    from greenroom.broker.mcp_login.keeper import McpKeeper
    from greenroom.broker.mcp_login.logins import OpenMcpLogins

log = logging.getLogger(__name__)

LARGEST_MESSAGE: Final = 512 * 1024
"""Bytes; the sender of a larger one is disconnected before it is in memory."""
LINGER: Final = 100
"""Milliseconds to send the last messages."""
BIND_AGAIN: Final = 0.2
"""Seconds after which an address that is taken is tried again."""
UPKEEP: Final = 2.0
"""Seconds between two checks of the store and the clock; each costs microseconds."""


def main(spec: BrokerSpec, lifeline: int) -> None:
    """Run the auth broker until a SIGTERM, or the end of file of `lifeline`: then the supervisor is gone."""
    hardening.make_undumpable()
    hardening.set_name("gr-broker")
    logs.set_up("broker", spec.log_level)
    logfile.open_log(spec.codex_home, "broker", instance=spec.supervisor_pid)
    for name in spec.secrets:
        os.environ.pop(name, None)
    asyncio.run(_serve(spec, lifeline))


async def _serve(spec: BrokerSpec, lifeline: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    broker = Broker(spec, context, lifeline)
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    loop.add_reader(lifeline, leaving.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            chores = [tasks.create_task(chore) for chore in (broker.keep_up(), broker.keep_supervisor_informed())]
            await leaving.wait()
            loop.remove_reader(lifeline)
            for chore in chores:
                chore.cancel()
            await broker.close()
    finally:
        context.destroy(linger=0)


class Broker:
    """Everything of a broker that ends with its loop."""

    def __init__(self, spec: BrokerSpec, context: "zmq.Context[zmq.Socket[bytes]]", lifeline: int) -> None:
        self._spec = spec
        self._context = context
        self._clock = Clock()
        self._admission = _admission(spec, context)
        self._for_nodes: list[tuple[zmq.Socket[bytes], str]] = []
        """Sockets that listen at a second address."""
        self._has_left_nodes = False
        self._broadcasts = ZmqStream(
            self._bound(zmq.XPUB, spec.broadcast_address, spec.broadcast_address_for_nodes), self._subscribed
        )
        self._endpoint = BrokerEndpoint(self._send, self._admission.revoke)
        for name in (SUPERVISOR, *spec.admitted):
            self._endpoint.welcome(name)
        self._changes = ChangeFanout(self._publish, self._endpoint.notify_supervisor)
        self._rules = LoginRules(spec.forced_method, spec.forced_workspaces)
        store = open_store(spec.codex_home, spec.store)
        self._manager = CredentialManager(
            store,
            spec.secrets,
            spec.preferred_mode,
            self._clock,
            self._changes.announce,
            self._endpoint.notify_supervisor,
            _identity_secret(spec),
            self._rules,
            environment_key_first=spec.environment_key_first,
        )
        endpoints = IssuerEndpoints.of(spec.issuer, spec.refresh_url, spec.revoke_url, spec.client_id)
        self._issuer = Issuer(endpoints, self._clock)
        self._refresher = Refresher(self._manager, self._performer(store, endpoints, lifeline))
        self._bearers = TokenService(self._manager, self._refresher)
        self._paces = PaceService(self._publish)
        self._grants = NodeGrants(spec.codex_home, spec.config_overrides, spec.on_nodes)
        self._commands = TokenCommands(spec.codex_home, _environment_of_children(), self._clock)
        flows: dict[str, OpenFlow] = {"browser": self._browser_flow, "device": self._device_flow}
        self._logins = Logins(flows, self._save, self._login_ended)
        self._mcp_keeper: McpKeeper | None = None
        self._mcp_logins: OpenMcpLogins | None = None
        self._register()
        self._port = ZmqStream(self._bound(zmq.ROUTER, spec.address, spec.address_for_nodes), self._endpoint.take)

    async def keep_up(self) -> None:
        """Look after the store and the token, also without a request."""
        self._manager.store.sweep()
        while True:
            await self._manager.reload()
            await self._manager.persist()
            self._refresher.consider()
            await asyncio.sleep(UPKEEP)

    async def keep_supervisor_informed(self) -> None:
        """Tell the supervisor how things stand, now and whenever that is not what it was told last."""
        await self._manager.reload()
        told: CredentialStanding | None = None
        while True:
            standing = self._manager.in_force.outline(self._clock.wall(), self._clock.offset)
            if standing != told:
                told = standing
                self._endpoint.notify_supervisor(standing)
            await self._manager.stirred(UPKEEP)

    async def close(self) -> None:
        """Stop answering, and let a transaction under way finish."""
        self._publish(Stopping(grace_ms=int(SHUTDOWN_TIMEOUT * 1000)))
        await self._endpoint.close()
        await self._logins.close()
        if self._mcp_logins is not None:
            await self._mcp_logins.close()
        await self._commands.close()
        if self._mcp_keeper is not None:
            await self._mcp_keeper.close(SHUTDOWN_TIMEOUT)
        await self._refresher.settle()
        await self._manager.persist(now=True)
        await self._changes.settle()
        self._port.close(linger_ms=LINGER)
        self._broadcasts.close(linger_ms=LINGER)
        self._admission.close()

    def _performer(self, store: Store, endpoints: IssuerEndpoints, lifeline: int) -> RefreshExecutor:
        if store.kind == "ephemeral":
            return InProcessExecutor(store, self._issuer, self._clock)
        spec = self._spec
        return SubprocessExecutor(store, endpoints, self._clock, lifeline, spec.supervisor_pid, spec.log_level)

    def _register(self) -> None:
        endpoint = self._endpoint
        endpoint.on(Hello, self._hello)
        endpoint.on(GetAuth, lambda _, question: self._bearers.get_auth(question))
        endpoint.on(ReportUnauthorized, lambda _, question: self._bearers.report_unauthorized(question))
        endpoint.on(GetEnvironment, self._get_environment)
        endpoint.on(GetProviderToken, self._get_provider_token)
        endpoint.on(GetMcpBearer, lambda _, question: self._present_mcp_keeper().bearer(question))
        endpoint.on(ReportClock, self._learn_clock)
        endpoint.on(GetSlot, self._paces.slot)
        endpoint.on(ReportLimited, self._paces.limited)
        endpoint.on(LeaveQueue, self._paces.leave)
        endpoint.on(Acknowledge, lambda name, question: self._changes.acknowledge(name, question.generation))
        endpoint.on(Attach, self._attach)
        endpoint.on(Detach, self._detach)
        endpoint.on(GetStatus, lambda _, question: self._bearers.status(question))
        endpoint.on(LoginStart, lambda _, question: self._start_login(question))
        endpoint.on(LoginCancel, lambda _, question: self._cancel_login(question))
        endpoint.on(LoginApiKey, lambda _, question: self._log_in_with_key(question))
        endpoint.on(McpLoginStart, lambda _, question: self._present_mcp_logins().start(question))
        endpoint.on(Logout, lambda _, question: self._log_out(question))
        endpoint.on(Reload, lambda _, __: self._reload())
        endpoint.on(LeaveNodes, lambda _, __: self._leave_nodes())
        endpoint.on(MeasureBroker, lambda _, __: self._measured())

    def _measured(self) -> BrokerMeasured:
        return BrokerMeasured(footprint=footprint.measure(), paces=self._paces.standings())

    def _present_mcp_keeper(self) -> "McpKeeper":
        if self._mcp_keeper is None:
            from greenroom.broker.mcp_login.keeper import McpKeeper

            self._mcp_keeper = McpKeeper(self._spec.codex_home, self._spec.config_overrides, self._clock)
        return self._mcp_keeper

    def _present_mcp_logins(self) -> "OpenMcpLogins":
        if self._mcp_logins is None:
            from greenroom.broker.mcp_login.logins import OpenMcpLogins

            spec = self._spec
            self._mcp_logins = OpenMcpLogins(spec.codex_home, spec.config_overrides, self._endpoint.notify_supervisor)
        return self._mcp_logins

    def _send(self, parts: Sequence[bytes]) -> None:
        self._port.send(parts)

    def _publish(self, broadcast: Broadcast) -> None:
        self._broadcasts.send(broadcast_frames(broadcast))

    def _subscribed(self, message: list[zmq.Frame]) -> None:
        name = sender(message[0])
        if name and message[0].bytes == b"\x01" + AuthChanged.wire:
            self._changes.welcome(name, self._manager.in_force.generation)

    def _bound(self, kind: int, address: str, address_for_nodes: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        start_authenticator(socket, self._spec.keys.public, self._spec.keys.secret)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        if kind == zmq.XPUB:
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every worker's subscription, not only the first
        socket.bind(address)
        if address_for_nodes:
            self._bind_for_nodes(socket, address_for_nodes)
        return socket

    def _bind_for_nodes(self, socket: "zmq.Socket[bytes]", address: str, is_first: bool = True) -> None:
        """Listen at a second address, as soon as it is free: a broker that is ending may still have it.

        Until then workers on nodes get no credentials, and all others do.
        """
        if socket.closed or self._has_left_nodes:
            return
        keep_alive(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            if is_first:
                log.error("workers on nodes have no access to credentials: %s: %s", address, error.strerror)
            asyncio.get_running_loop().call_later(BIND_AGAIN, self._bind_for_nodes, socket, address, False)
        else:
            self._for_nodes.append((socket, address))
            if not is_first:
                log.warning("workers on nodes have access to credentials at %s", address)

    def _leave_nodes(self) -> Succeeded:
        self._has_left_nodes = True
        for socket, address in self._for_nodes:
            socket.unbind(address)
        self._for_nodes.clear()
        return Succeeded()

    async def _hello(self, name: str, question: Hello) -> Welcome | AuthError:
        if question.worker_id != name:
            return AuthError(code="forbidden")
        await self._manager.reload()
        in_force = self._manager.in_force
        if question.listens:
            await self._changes.listening(name)
        return Welcome(
            broker_epoch=in_force.epoch,
            generation=in_force.generation,
            state=in_force.state(self._clock.wall()),
            limited=self._paces.known(),
        )

    def _get_environment(self, name: str, question: GetEnvironment) -> EnvironmentValues:
        secrets, granted = self._spec.secrets, self._grants.variables(name, question.names)
        return EnvironmentValues(values={variable: secrets[variable] for variable in granted if variable in secrets})

    async def _get_provider_token(self, name: str, question: GetProviderToken) -> ProviderToken | AuthError:
        return self._grants.objection(name, question.command) or await self._commands.get(question)

    def _learn_clock(self, name: str, report: ReportClock) -> None:
        if self._grants.is_on_node(name):
            return  # its clock is another one
        self._clock.learn(report.ahead_s)
        self._manager.stir()

    def _attach(self, _: str, question: Attach) -> Succeeded | AuthError:
        if SUPERVISOR in question.keys:
            return AuthError(code="forbidden")
        if question.on_node:
            self._grants.enter(question.keys)
        for worker_id, key in question.keys.items():
            self._admission.admit(key, worker_id)
            self._endpoint.welcome(worker_id)
        return Succeeded()

    def _detach(self, _: str, question: Detach) -> Succeeded:
        for worker_id in question.worker_ids:
            self._admission.revoke(worker_id)
            self._endpoint.forget(worker_id)
            self._changes.forget(worker_id)
            self._paces.forget(worker_id)
            self._grants.forget(worker_id)
        return Succeeded()

    async def _reload(self) -> Reloaded:
        changed = await self._manager.reload(always=True)
        return Reloaded(changed=changed, generation=self._manager.in_force.generation)

    async def _start_login(self, question: LoginStart) -> LoginStarted | AuthError:
        if objection := self._rules.against_mode("chatgpt"):
            return AuthError(code="login_disabled", user_text=objection)
        try:
            return await self._logins.start(question)
        except GreenroomError as error:
            return AuthError(code="login_failed", user_text=str(error))

    async def _browser_flow(self) -> Flow:
        from greenroom.broker.login.flows import BrowserFlow

        return await BrowserFlow.open(self._issuer, self._spec.login_ports, self._rules)

    async def _device_flow(self) -> Flow:
        from greenroom.broker.login.flows import DeviceFlow

        return await DeviceFlow.open(self._issuer, self._rules)

    async def _cancel_login(self, question: LoginCancel) -> Succeeded | AuthError:
        return Succeeded() if await self._logins.cancel(question.login_id) else AuthError(code="not_found")

    async def _log_in_with_key(self, question: LoginApiKey) -> InForce | AuthError:
        if objection := self._rules.against_mode("apikey"):
            return AuthError(code="login_disabled", user_text=objection)
        await self._logins.cancel()
        try:
            await self._manager.log_in(lambda found: AuthRecord.of_key(question.api_key, found))
        except OSError as error:
            return AuthError(code="storage_failed", user_text=error.strerror or str(error))
        await self._changes.settle()
        return self._in_force()

    async def _log_out(self, question: Logout) -> InForce | AuthError:
        await self._logins.cancel()
        held = self._manager.in_force.credential
        try:
            removed = await self._manager.log_out()
        except OSError as error:
            return AuthError(code="storage_failed", user_text=error.strerror or str(error))
        await self._changes.settle()
        if question.revoke:
            await revoke_login(self._issuer, held)
        return self._in_force(removed=removed)

    def _in_force(self, *, removed: bool = False) -> InForce:
        in_force = self._manager.in_force
        return InForce(mode=in_force.mode, plan_type=in_force.credential.plan_type, removed=removed)

    async def _save(self, logged_in: LoggedIn) -> None:
        await self._manager.log_in(lambda found: record_of(logged_in, self._clock.wall(), found))

    async def _login_ended(self, ending: LoginComplete) -> None:
        """Notify the supervisor, after the workers."""
        await self._changes.settle()
        in_force = self._in_force()
        known = {"mode": in_force.mode, "plan_type": in_force.plan_type}
        self._endpoint.notify_supervisor(msgspec.structs.replace(ending, **known))


def _admission(spec: BrokerSpec, context: "zmq.Context[zmq.Socket[bytes]]") -> ZapAuthenticator:
    admission = ZapAuthenticator(context)
    admission.admit(spec.supervisor_key, SUPERVISOR)
    for worker_id, key in spec.admitted.items():
        admission.admit(key, worker_id)
    return admission


def _identity_secret(spec: BrokerSpec) -> bytes:
    """Return a secret that the next broker of this supervisor has too: they have the same key."""
    return hmac.digest(spec.keys.secret.encode(), b"identity keys", "sha256")


def _environment_of_children() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}
