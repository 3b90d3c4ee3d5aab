"""The process tree: the fork server or its substitute, the auth broker and the workers, whatever these are used for."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import NamedTuple

import zmq

from greenroom.protocol.ids import TurnId, WorkerId, uuid7
from greenroom.protocol.internal.broker import AuthProblem, Broadcast
from greenroom.protocol.internal.process import BrokerSpec, Exited, KeyPair, WorkerSpec
from greenroom.protocol.internal.worker import HelperLost, MeasureWorker, Ready, ReceivedNotice, WorkerMeasured
from greenroom.runtime import directory, hardening, logfile
from greenroom.runtime import malloc as heap
from greenroom.runtime.oom import OomKills
from greenroom.runtime.restart import Backoff, RestartPolicy
from greenroom.runtime.zap import ZapAuthenticator
from greenroom.runtime.zmq_stream import ZmqStreamStatistics
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes import exits as death
from greenroom.supervisor.processes import memory_limit as weight
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError
from greenroom.supervisor.processes.engine import FORK_SERVER_ID, Engine, EngineStatistics
from greenroom.supervisor.processes.event_streams import EventStreams
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.memory_report import FootprintCollector, ProcessFootprint, ProcessFootprints
from greenroom.supervisor.processes.pool import Pool, PoolStatistics, WorkerRequest
from greenroom.supervisor.processes.restart import BROKER, POOL, START
from greenroom.supervisor.processes.service_state import ServiceState, ServiceStatus
from greenroom.supervisor.processes.worker_router import WorkerRouter
from greenroom.supervisor.processes.worker_users import WorkerUsers

log = logging.getLogger(__name__)

BROKER_ID = WorkerId("broker")
MOST_OVERRIDES = 64 * 1024
"""Characters of assignments that fit into the message with which the broker is started."""
REPLENISH_DELAY = 0.015
"""Seconds between taking a ready worker and starting another: the one just taken needs the cores first."""
EARLY_WORKERS = 1
"""Workers that are kept ready before the engine is: enough for a first call. Later ones share more memory."""
LAST_WORDS = 5
"""Log lines that are recorded of a process that died."""
STARTING_COMMANDS = "starting commands"
BROKER_TIMEOUT = 10.0
"""Seconds that the broker has to admit workers before it counts as hung."""
BROKER_START = 30.0
"""Seconds that it has for its start before that."""
RESPAWN_DELAY = 5.0
"""Seconds after which a broker that could not be started is tried again, since the obstacle may pass."""
READY_TIMEOUT = 60.0
"""Seconds that a worker has to become ready before it counts as hung."""
LEAVE_TIMEOUT = 0.8
"""Seconds that workers have to save and exit when the server ends."""
REDEMPTION_TIME = 0.9
"""Further seconds that the broker then has for a token refresh under way."""


class TreeStatistics(NamedTuple):
    """Counters of the parts of the tree."""

    router: ZmqStreamStatistics
    pool: PoolStatistics
    engine: EngineStatistics


class ProcessTree:
    """Owns every process below the supervisor. Starts in the order fork server, broker, workers; ends in reverse."""

    def __init__(
        self,
        options: ServerOptions,
        engine: Engine,
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> None:
        self._options = options
        self._engine = engine
        self._environment = environment
        self._secrets = dict(secrets)
        self._directory = directory.create(os.environ)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._keys = _key_pair()
        self._broker_keys = _key_pair()
        self._workers: dict[WorkerId, KeyPair] = {}
        self._deadlines: dict[WorkerId, asyncio.TimerHandle] = {}
        """When workers that are starting have to be ready."""
        self._reasons: dict[WorkerId, str] = {}
        self._hung_zygotes: dict[int, str] = {}
        """Why workers have killed the shared zygote, by pid, until its end is reported."""
        self._oom_kills = OomKills()
        self._memory_watchdog = weight.MemoryWatchdog(
            self._workers, engine.pid_of, options.limits, self._kill_heavy, self._tidy_up
        )
        self._pool = Pool(min(options.idle_workers, EARLY_WORKERS))
        self._broker_left = asyncio.Event()
        self._broker_life = ServiceState(RestartPolicy(BROKER))
        self._broker_born_at = 0.0
        self._hung_broker = -1.0
        """When the broker was born that was found hanging last: each is told of and killed once."""
        self._pool_policy = RestartPolicy(POOL)
        self._refusals = Backoff(START)
        self._retry: asyncio.TimerHandle | None = None
        """When workers are tried again that the system has refused to start."""
        self._obstacle: str | None = None
        self._authenticator = ZapAuthenticator(self._context)
        self.router = WorkerRouter(
            self._context, self._authenticator, self._keys, self._address("mailbox"), self._receive
        )
        self.event_streams = EventStreams(f"{self._directory}/events", self._receive_events)
        self._broadcasts: list[Broadcast] = []
        self._on_broadcast: Callable[[Broadcast], object] = self._broadcasts.append
        self.broker = BrokerClient(
            self._context, self._keys, self._address("broker"), self._broker_keys.public, self._heard
        )
        self.exit_history = ExitHistory(self._last_words)
        self._users: WorkerUsers | None = None
        self._footprints = FootprintCollector(self._ask_what_is_held)
        self._background: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._closing = False

    async def start(self, users: WorkerUsers) -> None:
        """Start the broker and the first workers side by side. `users` is what workers are started for."""
        self._users = users
        hardening.make_undumpable()
        hardening.adopt_orphans()
        await self._engine.start(self._exited, self._fill_pool)
        first = self._enrol(self._pool.missing)
        self._spawn_broker()
        self._spawn_workers(first)

    def tell_broadcasts(self, on_broadcast: Callable[[Broadcast], object]) -> None:
        """Pass on broadcasts of the auth broker from now on, first those that have arrived already."""
        self._on_broadcast = on_broadcast
        for broadcast in self._broadcasts:
            on_broadcast(broadcast)
        self._broadcasts.clear()

    @property
    def _present_users(self) -> WorkerUsers:
        assert self._users is not None, "no process is started before there are users"
        return self._users

    def press(self, pressed: bool) -> None:
        """Pass on that the client has stopped reading, or reads again."""
        if pressed:
            self.event_streams.pause()
            self.router.pause()
        else:
            self.event_streams.resume()
            self.router.resume()

    @property
    def directory(self) -> str:
        """The directory of this instance's sockets."""
        return self._directory

    @property
    def fork_server_status(self) -> ServiceStatus | None:
        """Status of the fork server, where there is one."""
        return self._engine.fork_server

    @property
    def zygote_status(self) -> ServiceStatus | None:
        """Status of the shared zygote, where there is one."""
        return self._engine.zygote

    @property
    def broker_status(self) -> ServiceStatus:
        """Status of the auth broker."""
        if self.broker.is_connected:
            self._broker_life.came_up()
        return self._broker_life.standing(self._engine.pid_of(BROKER_ID), asyncio.get_running_loop().time())

    @property
    def waiting_workers(self) -> tuple[WorkerId, ...]:
        """The workers that are ready for a conversation."""
        return self._pool.waiting

    def statistics(self) -> TreeStatistics:
        """Return the counters of the parts."""
        return TreeStatistics(self.router.statistics(), self._pool.statistics(), self._engine.statistics())

    async def survey(self) -> ProcessFootprints:
        """Return what each process holds, of those that answer within a moment."""
        return await self._footprints.collect()

    async def close(self) -> None:
        """Answer every call, let workers save and exit, and end what is left. No process of the tree survives it."""
        self._closing = True
        self._memory_watchdog.close()
        if self._retry is not None:
            self._retry.cancel()
        for deadline in self._deadlines.values():
            deadline.cancel()
        for task in self._background:
            task.cancel()
        self.press(False)
        if self._users is not None:
            self._users.abort_all("the server is shutting down")
        self._engine.terminate(BROKER_ID)
        self._dismiss_idle()
        await self._wait_until_workers_left()
        await self._let_broker_leave()
        await self._engine.close()
        self.broker.close()
        self.router.close()
        self.event_streams.close()
        self._authenticator.close()
        self._context.destroy(linger=0)
        directory.remove(self._directory)

    def hasten(self) -> None:
        """Stop waiting for workers to exit by themselves."""
        self._empty.set()

    def take(self, order: WorkerRequest) -> None:
        """Assign a worker to `order`: a ready one, or the next one that becomes ready."""
        self._pool.take(order)
        if self._pool.has_orders:
            self._replenish()
        else:
            asyncio.get_running_loop().call_later(REPLENISH_DELAY, self._replenish)

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""
        self._pool.withdraw(order)

    @property
    def obstacle(self) -> str | None:
        """The error of the last failed start of a worker, as text."""
        return self._obstacle

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        """Kill a worker and everything it started; `why` is reported as the cause of its death."""
        if why is not None and worker_id in self._workers:
            self._reasons.setdefault(worker_id, why)
        self._engine.kill(worker_id)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return the process id of a worker that is alive."""
        return self._engine.pid_of(worker_id)

    def _fill_pool(self) -> None:
        self._pool.resize(self._options.idle_workers)
        self._replenish()

    def _replenish(self) -> None:
        """Start the missing workers while the broker is told of them: a worker that it refuses connects again."""
        if self._pool.missing and not self._closing:
            newcomers = self._enrol(self._pool.missing)
            self._in_background(self._attach(newcomers))
            self._spawn_workers(newcomers)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _enrol(self, count: int) -> dict[WorkerId, KeyPair]:
        """Create ids and keys for workers that are to be started, and admit them to the router."""
        newcomers = {WorkerId(f"w-{uuid7()}"): _key_pair() for _ in range(count)}
        if newcomers:
            self._memory_watchdog.begin()
        for worker_id, keys in newcomers.items():
            self._workers[worker_id] = keys
            self.router.admit(worker_id, keys.public)
            self._pool.expect(worker_id)
        return newcomers

    async def _attach(self, newcomers: Mapping[WorkerId, KeyPair]) -> None:
        try:
            async with asyncio.timeout(BROKER_TIMEOUT):
                await self.broker.attach({worker_id: keys.public for worker_id, keys in newcomers.items()})
        except TimeoutError:
            age = asyncio.get_running_loop().time() - self._broker_born_at
            is_news = self._hung_broker != self._broker_born_at
            if is_news and (self.broker.is_connected or age > BROKER_START):
                self._hung_broker = self._broker_born_at
                log.error("the auth broker hangs: no answer for %.0f s; killing it", BROKER_TIMEOUT)
                self._engine.kill(BROKER_ID)
        except BrokerError as error:  # a broker that is being restarted gets all keys in its spec
            log.warning("the auth broker has not let %d workers in (%s)", len(newcomers), error)

    def _spawn_workers(self, newcomers: Mapping[WorkerId, KeyPair]) -> None:
        """Start workers, and ensure that each becomes ready or ends; the engine reports failed starts."""
        loop = asyncio.get_running_loop()
        for worker_id, keys in newcomers.items():
            self._deadlines[worker_id] = loop.call_later(READY_TIMEOUT, self._end_unready, worker_id)
            self._engine.spawn(
                WorkerSpec(
                    id=worker_id,
                    keys=keys,
                    supervisor_pid=os.getpid(),
                    codex_home=self._options.codex_home,
                    runtime_directory=self._directory,
                    log_level=self._options.log_level,
                    mailbox_address=self._address("mailbox"),
                    mailbox_key=self._keys.public,
                    events_path=f"{self._directory}/events",
                    events_ticket=self.event_streams.admit(worker_id),
                    broker_address=self._address("broker"),
                    broker_key=self._broker_keys.public,
                    broadcast_address=self._address("changes"),
                )
            )

    def _end_unready(self, worker_id: WorkerId) -> None:
        """End one who is late, unless it may have said that it is ready and it is we who do not listen."""
        if not self.router.statistics().paused and self._engine.pid_of(worker_id) is not None:
            log.error("worker %s hangs: not ready after %.0f s; killing it", worker_id, READY_TIMEOUT)
            self._engine.kill(worker_id)
        loop = asyncio.get_running_loop()
        self._deadlines[worker_id] = loop.call_later(READY_TIMEOUT, self._end_unready, worker_id)

    def _is_no_longer_due(self, worker_id: WorkerId) -> None:
        """Cancel the deadline of a worker that is ready, or gone."""
        if (deadline := self._deadlines.pop(worker_id, None)) is not None:
            deadline.cancel()

    def _tidy_up(self) -> None:
        """Drop old records of deaths for lack of memory, and return unused memory to the system."""
        self._oom_kills.happened()
        heap.trim()

    def _kill_heavy(self, worker_id: WorkerId, why: str) -> None:
        """Kill a worker that holds too much memory, whatever it does."""
        if not self._present_users.kill(worker_id, why):
            log.error("worker %s is killed (%s)", worker_id, why)
            self.kill(worker_id, why)

    def _spawn_broker(self) -> None:
        self._broker_left.clear()
        self._broker_born_at = asyncio.get_running_loop().time()
        self._engine.spawn(
            BrokerSpec(
                id=BROKER_ID,
                keys=self._broker_keys,
                supervisor_pid=os.getpid(),
                codex_home=self._options.codex_home,
                runtime_directory=self._directory,
                log_level=self._options.log_level,
                address=self._address("broker"),
                broadcast_address=self._address("changes"),
                supervisor_key=self._keys.public,
                admitted={worker_id: keys.public for worker_id, keys in self._workers.items()},
                preferred_mode=self._options.preferred_auth,
                store=self._options.credentials_store,
                forced_method=self._options.forced_login,
                forced_workspaces=self._options.forced_workspaces,
                secrets=self._secrets,
                issuer=self._environment.get("GREENROOM_ISSUER"),
                refresh_url=self._environment.get("CODEX_REFRESH_TOKEN_URL_OVERRIDE"),
                revoke_url=self._environment.get("CODEX_REVOKE_TOKEN_URL_OVERRIDE"),
                client_id=self._environment.get("CODEX_APP_SERVER_LOGIN_CLIENT_ID"),
                config_overrides=_about_mcp(self._options.config_overrides),
            )
        )

    def _ask_what_is_held(self) -> Iterator[WorkerId]:
        """Ask everybody who can answer at the moment: workers that are connected, the fork server and the broker."""
        if not self.router.statistics().paused:
            yield from (worker_id for worker_id in self._workers if self.router.send(worker_id, MeasureWorker()))
        if self._engine.measure_fork_server(
            lambda held: self._footprints.receive(FORK_SERVER_ID, ProcessFootprint(held))
        ):
            yield FORK_SERVER_ID
        if self.broker.is_connected:
            self._in_background(self._measure_broker())
            yield BROKER_ID

    async def _measure_broker(self) -> None:
        with contextlib.suppress(BrokerError):
            self._footprints.receive(BROKER_ID, ProcessFootprint(await self.broker.measure()))

    def _last_words(self, pid: int) -> list[str]:
        return logfile.recent(self._options.codex_home, LAST_WORDS, instance=os.getpid(), pid=pid)

    def _heard(self, broadcast: Broadcast) -> None:
        if isinstance(broadcast, AuthProblem):
            log.error("credentials: %s", broadcast.user_text)
        self._on_broadcast(broadcast)

    def _receive_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        self._present_users.receive_events(worker_id, turn_id, events)

    def _receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        self.event_streams.before_notice(worker_id, received.order)
        self._handle(worker_id, received)
        self.event_streams.after_notice(worker_id, received.order)

    def _handle(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        match received.notice:
            case Ready():
                self._is_no_longer_due(worker_id)
                self._engine.came_up(worker_id)
                self._obstacle = None
                if not self._pool.ready(worker_id):
                    self._engine.kill(worker_id)
            case WorkerMeasured(footprint=held, unsent_bytes=unsent, sandbox_limits=limits, zygote=zygote):
                self._footprints.receive(worker_id, ProcessFootprint(held, unsent, limits, zygote))
            case HelperLost() as lost:
                self._helper_lost(worker_id, lost)
            case _:
                self._present_users.receive(worker_id, received)

    def _exited(self, exited: Exited) -> None:
        self.router.catch_up()  # what it still said comes before the news of its death
        self.event_streams.finish(exited.id)
        self._footprints.forget(exited.id)
        if exited.id == FORK_SERVER_ID:
            self.exit_history.enter(exited, "starting processes", self._why(exited))
            return
        if exited.id == BROKER_ID:
            self._broker_ended(exited)
            return
        if self._workers.pop(exited.id, None) is None:
            if not self._closing and exited.returncode != 0:
                why = self._hung_zygotes.pop(exited.pid, None) or self._why(exited)
                died = self.exit_history.enter(exited, STARTING_COMMANDS, why)
                log.error("the zygote, process %d, died (%s)", exited.pid, died.cause)
            return
        self.router.revoke(exited.id)
        self._is_no_longer_due(exited.id)
        why = self._why(exited)
        in_pool = self._pool.lost(exited.id)
        self._present_users.lost(exited, why)
        if self._present_users.are_at_rest:  # who looks at an idle server sees what it holds
            heap.trim()
        if not self._closing:
            self.broker.detach((exited.id,))
            if in_pool:
                self._waiting_worker_ended(exited, why)
            else:
                self._replenish()
        elif not self._workers:
            self._empty.set()

    def _helper_lost(self, worker_id: WorkerId, lost: HelperLost) -> None:
        """Record the death of a process that a worker had for its commands; a shared one is reported by its parent."""
        if lost.is_shared:
            if lost.cause is not None:
                self._hung_zygotes[lost.pid] = lost.cause
            return
        exited = Exited(id=WorkerId(lost.role), pid=lost.pid, returncode=lost.returncode, max_rss=lost.max_rss)
        doing = STARTING_COMMANDS if lost.role == "zygote" else "watching over a command"
        died = self.exit_history.enter(exited, doing, lost.cause, *self._present_users.place_of(worker_id))
        log.error("a %s of worker %s, process %d, died (%s)", lost.role, worker_id, lost.pid, died.cause)

    def _why(self, exited: Exited) -> str | None:
        """Return the cause of a death where it is not the kernel's: a kill by the supervisor or a worker."""
        why = self._reasons.pop(exited.id, None)
        if why is None and exited.returncode == -signal.SIGKILL and self._oom_kills.happened():
            return death.OUT_OF_MEMORY
        return why

    def _waiting_worker_ended(self, exited: Exited, why: str | None) -> None:
        """Replace a worker that died before it had a conversation, unless all of them do."""
        fork_server = self._engine.fork_server
        if exited.start_error is not None and fork_server is not None and fork_server.state == "restarting":
            self._replenish()  # it ended with its fork server
            return
        if exited.start_error is not None:
            self._start_refused(exited)
            return
        cause = self.exit_history.enter(exited, "waiting for a conversation", why).cause
        loop = asyncio.get_running_loop()
        delay = self._pool_policy.on_death(loop.time())
        log.error("a waiting worker died (%s)", cause)
        if delay is None:
            self._pool.forget_orders()
            self._present_users.fail_waiting(cause, death.facts(exited))
            delay = POOL.period
        if delay:
            loop.call_later(delay, self._replenish)
        else:
            self._replenish()

    def _start_refused(self, exited: Exited) -> None:
        """Retry after a delay what the system has refused to start; orders stay in the queue."""
        self._obstacle = death.cause(exited)
        if self._retry is not None:
            return
        self.exit_history.enter(exited, "being started")
        loop = asyncio.get_running_loop()
        delay = self._refusals.on_death(loop.time())
        log.error("a worker %s; trying again in %.1f s", self._obstacle, delay)
        self._retry = loop.call_later(delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._replenish()

    async def _let_broker_leave(self) -> None:
        """Wait for the broker, and so for a token refresh under way, which is bounded itself."""
        if self._engine.pid_of(BROKER_ID) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REDEMPTION_TIME):
                    await self._broker_left.wait()

    def _broker_ended(self, exited: Exited) -> None:
        self._broker_left.set()
        if self._closing:
            return
        self.exit_history.enter(exited, "serving credentials", self._why(exited))
        self.broker.broker_died()
        loop = asyncio.get_running_loop()
        self._broker_life.died()
        delay = self._pause_of_stillborn() if exited.start_error is not None else self._broker_life.delay(loop.time())
        if delay is None:
            log.critical("the auth broker died too often (%s) and is given up", death.cause(exited))
            self.broker.broker_given_up()
            return
        log.error("the auth broker died (%s); restarting it in %.1f s", death.cause(exited), delay)
        loop.call_later(delay, self._respawn_broker)

    def _pause_of_stillborn(self) -> float:
        fork_server = self._engine.fork_server
        return 0.0 if fork_server is not None and fork_server.state == "restarting" else RESPAWN_DELAY

    def _respawn_broker(self) -> None:
        if not self._closing:
            self._spawn_broker()
            self._broker_life.started()
            self.broker.broker_started()

    def _dismiss_idle(self) -> None:
        """End the workers that host no conversation: they have nothing to save."""
        hosting = self._users.leaving if self._users is not None else frozenset()
        for worker_id in list(self._workers):
            if self._engine.pid_of(worker_id) is None:  # still starting: the engine ends it when it closes
                del self._workers[worker_id]
            elif worker_id not in hosting:
                self._engine.kill(worker_id)

    async def _wait_until_workers_left(self) -> None:
        if not self._workers:
            return
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._empty.wait()
        except TimeoutError:
            pass
        if self._workers:
            log.warning("%d workers did not leave in time and are killed", len(self._workers))

    def _address(self, name: str) -> str:
        return f"ipc://{self._directory}/{name}"


def _about_mcp(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Return the assignments of the command line that the broker needs: those about MCP servers and their logins.

    All others stay out of its message, since a command line may be longer than a message can be. Servers named in one
    that is too long even so are used without a login.
    """
    wanted = tuple(override for override in overrides if override.lstrip().startswith("mcp_"))
    if sum(map(len, wanted)) > MOST_OVERRIDES:
        log.warning("the command line says too much of MCP servers; their logins go by config.toml alone")
        return ()
    return wanted


def _key_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())
