"""The process of the auth broker: its start, its restarts, and its end when it hangs."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Literal

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import BrokerSpec, Exited, KeyPair
from greenroom.runtime.restart import RestartPolicy
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes import exits
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError
from greenroom.supervisor.processes.departure import Departure
from greenroom.supervisor.processes.endpoints import InstanceEndpoints
from greenroom.supervisor.processes.engines.engine import Engine
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.restart import BROKER
from greenroom.supervisor.processes.service_state import ServiceState, ServiceStatus

log = logging.getLogger(__name__)

BROKER_ID = WorkerId("broker")
MOST_OVERRIDES = 64 * 1024
"""Characters of assignments that fit into the message with which the broker is started."""
BROKER_TIMEOUT = 10.0
"""Seconds that the broker has to admit workers before it counts as hung."""
BROKER_START = 30.0
"""Seconds that it has for its start before that."""
RESPAWN_DELAY = 5.0
"""Seconds after which a broker that could not be started is tried again, since the obstacle may pass."""
REFRESH_TIME = 0.9
"""Seconds that the broker has for a token refresh under way when the server ends."""


class BrokerProcess:
    """Keeps one broker running. The client of the broker is told of each death and each start."""

    def __init__(
        self,
        options: ServerOptions,
        engine: Engine,
        endpoints: InstanceEndpoints,
        client: BrokerClient,
        exit_history: ExitHistory,
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
        workers: Mapping[WorkerId, KeyPair],
    ) -> None:
        """`secrets` is the part of the environment that children start without; a new broker admits `workers`."""
        self._options = options
        self._engine = engine
        self._endpoints = endpoints
        self._client = client
        self._exit_history = exit_history
        self._environment = environment
        self._secrets = dict(secrets)
        self._workers = workers
        self._state = ServiceState(RestartPolicy(BROKER))
        self._left = asyncio.Event()
        self._started_at = 0.0
        self._hung = -1.0
        """Start of the broker that was found hanging last: each is reported and killed once."""
        self._closing = False
        self._serves_nodes = True
        self._on_nodes: set[WorkerId] = set()
        """Workers that are on nodes."""
        self._shut_out: set[WorkerId] = set()
        """Those of them that were given up."""

    @property
    def status(self) -> ServiceStatus:
        """Its status."""
        if self._client.is_connected:
            self._state.came_up()
        return self._state.status(self._engine.pid_of(BROKER_ID), asyncio.get_running_loop().time())

    def start(self) -> None:
        """Start the process."""
        self._left.clear()
        self._started_at = asyncio.get_running_loop().time()
        self._engine.spawn(self._spec())

    def enter_on_node(self, worker_ids: Iterable[WorkerId]) -> None:
        """Note workers that are to be started on a node, before they are admitted by this broker or the next one."""
        self._on_nodes.update(worker_ids)

    def shut_out_on_node(self, worker_id: WorkerId) -> None:
        """Have a worker of a node that is given up get nothing more, also over a connection that stands."""
        self._shut_out.add(worker_id)
        if not self._closing:
            self._client.detach((worker_id,))

    def forget_on_node(self, worker_id: WorkerId) -> None:
        """Forget a worker of a node that was shut out, and is not one of the workers any more."""
        self._on_nodes.discard(worker_id)
        self._shut_out.discard(worker_id)

    async def admit(self, newcomers: Mapping[WorkerId, KeyPair]) -> None:
        """Admit workers, all of this machine or all of a node; a broker that does not answer in time is killed."""
        keys = {worker_id: pair.public for worker_id, pair in newcomers.items()}
        on_node = not self._on_nodes.isdisjoint(keys)
        try:
            async with asyncio.timeout(BROKER_TIMEOUT):
                await self._client.attach(keys, on_node=on_node)
        except TimeoutError:
            age = asyncio.get_running_loop().time() - self._started_at
            is_news = self._hung != self._started_at
            if is_news and (self._client.is_connected or age > BROKER_START):
                self._hung = self._started_at
                log.error("the auth broker hangs: no answer for %.0f s; killing it", BROKER_TIMEOUT)
                self._engine.kill(BROKER_ID)
        except BrokerError as error:  # a broker that is being restarted gets all keys in its spec
            log.warning("the auth broker has not let %d workers in (%s)", len(newcomers), error)

    def ended(self, exited: Exited, why: str | None) -> None:
        """Handle its end: start another one after a delay, unless it died too often or the server ends."""
        self._left.set()
        if self._closing:
            return
        self._exit_history.enter(exited, "serving credentials", why)
        self._client.broker_died()
        loop = asyncio.get_running_loop()
        self._state.died()
        delay = self._delay_of_failed_start() if exited.start_error is not None else self._state.delay(loop.time())
        if delay is None:
            log.critical("the auth broker died too often (%s) and is given up", exits.cause(exited))
            self._client.broker_given_up()
            return
        log.error("the auth broker died (%s); restarting it in %.1f s", exits.cause(exited), delay)
        loop.call_later(delay, self._restart)

    def leave_nodes(self) -> None:
        """Have no broker listen for workers on nodes any more."""
        self._serves_nodes = False
        self._client.leave_nodes()

    def terminate(self) -> None:
        """Ask the process to exit, and start no other."""
        self._closing = True
        self._engine.terminate(BROKER_ID)

    async def wait_left(self, departure: Departure) -> None:
        """Wait for its end, and so for a token refresh under way, which is bounded itself."""
        if self._engine.pid_of(BROKER_ID) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(departure.left(REFRESH_TIME)):
                    await self._left.wait()

    def _delay_of_failed_start(self) -> float:
        fork_server = self._engine.fork_server
        return 0.0 if fork_server is not None and fork_server.state == "restarting" else RESPAWN_DELAY

    def _restart(self) -> None:
        if not self._closing:
            self.start()
            self._state.started()
            self._client.broker_started()

    def _spec(self) -> BrokerSpec:
        endpoints = self._endpoints
        at = self._address_for_nodes
        return BrokerSpec(
            id=BROKER_ID,
            keys=endpoints.broker_keys,
            supervisor_pid=os.getpid(),
            codex_home=self._options.codex_home,
            runtime_directory=endpoints.directory,
            log_level=self._options.log_level,
            address=endpoints.address("broker"),
            broadcast_address=endpoints.address("changes"),
            address_for_nodes=at("broker"),
            broadcast_address_for_nodes=at("changes"),
            supervisor_key=endpoints.keys.public,
            admitted={one: keys.public for one, keys in self._workers.items() if one not in self._shut_out},
            on_nodes=tuple(self._on_nodes),
            preferred_mode=self._options.preferred_auth,
            store=self._options.credentials_store,
            forced_method=self._options.forced_login,
            forced_workspaces=self._options.forced_workspaces,
            environment_key_first=self._options.environment_key_first,
            secrets=self._secrets,
            issuer=self._environment.get("GREENROOM_ISSUER"),
            refresh_url=self._environment.get("CODEX_REFRESH_TOKEN_URL_OVERRIDE"),
            revoke_url=self._environment.get("CODEX_REVOKE_TOKEN_URL_OVERRIDE"),
            client_id=self._environment.get("CODEX_APP_SERVER_LOGIN_CLIENT_ID"),
            config_overrides=_about_credentials(self._options.config_overrides),
        )

    def _address_for_nodes(self, service: Literal["broker", "changes"]) -> str:
        nodes = self._options.nodes
        if nodes is None or nodes.listen is None or not self._serves_nodes:
            return ""
        from greenroom.supervisor.processes.nodes.addresses import address_of

        return address_of(nodes.listen, service)


def _about_credentials(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Return the assignments of the command line that the broker needs: about MCP servers and model providers.

    All others stay out of its message, since a command line may be longer than a message can be. What is named in one
    that is too long even so is used without a login, and by nobody on a node.
    """
    wanted = tuple(override for override in overrides if override.lstrip().startswith(("mcp_", "model_providers")))
    if sum(map(len, wanted)) > MOST_OVERRIDES:
        log.warning(
            "settings of MCP servers and model providers on the command line are too long; config.toml alone is used"
        )
        return ()
    return wanted
