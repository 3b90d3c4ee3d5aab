"""The process tree: the fork server or its substitute, the auth broker and the workers, whatever these are used for."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from greenroom.protocol.errors import StartError
from greenroom.protocol.ids import BEFORE_TURNS, NodeName, TurnId, WorkerId
from greenroom.protocol.internal.broker.broadcasts import AuthProblem, Broadcast
from greenroom.protocol.internal.process import Exited, KeyPair
from greenroom.protocol.internal.worker.notices import HelperLost, Ready, ReceivedNotice, WorkerMeasured
from greenroom.protocol.internal.worker.operations import Close, MeasureWorker
from greenroom.runtime.log import logfile
from greenroom.runtime.process import hardening
from greenroom.runtime.process import malloc as heap
from greenroom.runtime.zmq.zmq_stream import ZmqStreamStatistics
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.broadcasts import Broadcasts
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError
from greenroom.supervisor.processes.broker_process import BROKER_ID, BrokerProcess
from greenroom.supervisor.processes.departure import PROCESSES, RECORDS, Departure
from greenroom.supervisor.processes.endpoints import InstanceEndpoints
from greenroom.supervisor.processes.engines.engine import FORK_SERVER_ID, Engine, EngineStatistics
from greenroom.supervisor.processes.event_streams import EventStreams
from greenroom.supervisor.processes.exit_causes import STARTING_COMMANDS, ExitCauses
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.memory_limit import MemoryWatchdog
from greenroom.supervisor.processes.memory_report import FootprintCollector, ProcessFootprint, ProcessFootprints
from greenroom.supervisor.processes.nodes.wish import NODE_LOST
from greenroom.supervisor.processes.pool import PoolStatistics
from greenroom.supervisor.processes.service_state import ServiceStatus
from greenroom.supervisor.processes.worker_router import WorkerRouter
from greenroom.supervisor.processes.worker_supply import WorkerSupply
from greenroom.supervisor.processes.worker_users import WorkerUsers

if TYPE_CHECKING:
    from greenroom.supervisor.processes.nodes.hub import NodeHub

log = logging.getLogger(__name__)

LAST_WORDS = 5
"""Log lines that are recorded of a process that died."""
LEAVE_TIMEOUT = 0.8
"""Seconds since the beginning of the end in which workers have to save and exit."""


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
        self._endpoints = endpoints = InstanceEndpoints()
        self._workers: dict[WorkerId, KeyPair] = {}
        self._exit_causes = ExitCauses()
        self.exit_history = ExitHistory(self._last_words)
        self.broadcasts = Broadcasts()
        """What the auth broker tells unasked."""
        self.router = WorkerRouter(
            endpoints.context,
            endpoints.authenticator,
            endpoints.keys,
            endpoints.address("mailbox"),
            self._receive,
            self._receive_events,
        )
        self.broker = BrokerClient(
            endpoints.context,
            endpoints.keys,
            endpoints.address("broker"),
            endpoints.broker_keys.public,
            self._broker_told,
        )
        self._broker_process = BrokerProcess(
            options, engine, endpoints, self.broker, self.exit_history, environment, secrets, self._workers
        )
        self._memory_watchdog = MemoryWatchdog(
            self._workers, engine.pid_of, options.limits, self._kill_heavy, self._tidy_up
        )
        self.event_streams = EventStreams(endpoints.events_path, self._receive_events)
        self.workers = WorkerSupply(
            options,
            engine,
            endpoints,
            self.router,
            self.event_streams,
            self._broker_process,
            self._memory_watchdog,
            self.exit_history,
            self._exit_causes,
            self._workers,
        )
        """The supply of workers for conversations and jobs."""
        self.nodes = self._node_hub(options)
        """The workers of other machines; `None` where the settings name no address for them."""
        self.node_listeners: set[Callable[[NodeName], None]] = set()
        """Called with each node whose state has changed."""
        self._users: WorkerUsers | None = None
        self._footprints = FootprintCollector(self._ask_what_is_held)
        self._measuring: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._closing = False

    async def start(self, users: WorkerUsers) -> None:
        """Start the broker and the first workers side by side. `users` is what workers are started for."""
        self._users = users
        hardening.make_undumpable()
        hardening.adopt_orphans()
        await self._engine.start(self._exited, self.workers.fill)
        first = self.workers.enrol_first()
        if self.nodes is not None:
            shut_out = self._broker_process.shut_out_on_node
            self.nodes.start(shut_out, self._node_worker_ended, self.workers.take, self._node_changed)
        self._broker_process.start()
        self.workers.start(first)

    @property
    def _present_users(self) -> WorkerUsers:
        assert self._users is not None, "no process is started before there are users"
        return self._users

    @property
    def directory(self) -> str:
        """The directory of this instance's sockets."""
        return self._endpoints.directory

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
        return self._broker_process.status

    def statistics(self) -> TreeStatistics:
        """Return the counters of the parts."""
        return TreeStatistics(self.router.statistics(), self.workers.statistics(), self._engine.statistics())

    async def survey(self, max_age: float = 0.0) -> ProcessFootprints:
        """Return what each process holds, of those that answer within a moment.

        What was reported up to `max_age` seconds ago may be returned instead, without processes that have ended since.
        """
        return await self._footprints.collect(max_age)

    @property
    def last_footprints(self) -> ProcessFootprints:
        """What each process held when it was asked last."""
        return self._footprints.last

    async def close(self, departure: Departure | None = None) -> None:
        """Answer every call, let workers save and exit, and end what is left. No process of the tree survives it.

        `departure` has begun already, if it is given.
        """
        departure = departure or Departure(asyncio.get_running_loop().time)
        self._closing = True
        self._memory_watchdog.close()
        self.workers.close()
        for task in self._measuring:
            task.cancel()
        if self._users is not None:
            self._users.abort_all("the server is shutting down")
        self._broker_process.terminate()
        self._dismiss_idle()
        await self._wait_until_workers_left(departure)
        await self._broker_process.wait_left(departure)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._engine.close(departure.left(PROCESSES)))
            if self.nodes is not None:
                both.create_task(self.nodes.close(departure.left(RECORDS)))
        self.broker.close()
        self.router.close()
        self.event_streams.close()
        self._endpoints.close()

    def _node_hub(self, options: ServerOptions) -> "NodeHub | None":
        """Listen for nodes, if that is set. Raises `StartError`."""
        table = options.nodes
        if table is None or table.listen is None:
            return None
        from greenroom.supervisor.processes.nodes.hub import NodeHub  # not needed by most servers

        try:
            hub = NodeHub(options, table, self._endpoints, self.router, self.workers.enter)
            if options.takes_over:
                hub.listen_when_free()
            else:
                hub.listen()
        except StartError as error:
            if options.serves_many:
                raise
            log.error("%s; going on without nodes", error)  # another instance of the home may have them
            return None
        self.workers.nodes = hub
        return hub

    def leave_nodes(self) -> None:
        """Leave nodes to a host that has replaced this one, each as soon as it has no conversation of this one."""
        if self.nodes is not None:
            self.nodes.retreat(self._broker_process.leave_nodes)

    def _node_changed(self, node: NodeName) -> None:
        for listener in tuple(self.node_listeners):
            listener(node)

    def _node_worker_ended(self, exited: Exited) -> None:
        """Handle the end of a worker on a node; its records are written."""
        self.router.catch_up()
        self._footprints.forget(exited.id)
        if self._workers.pop(exited.id, None) is None:
            return
        why = self._exit_causes.of(exited)
        if why == NODE_LOST:  # it may be out of reach and live: then it reads this as soon as it is not
            self.router.send(exited.id, Close())
        self.workers.lost_on_node(exited)
        self._broker_process.forget_on_node(exited.id)
        self._present_users.lost(exited, why)
        if self._closing and not self._workers:
            self._empty.set()

    def hasten(self) -> None:
        """Stop waiting for workers to exit by themselves."""
        self._empty.set()

    def _tidy_up(self) -> None:
        """Drop old records of deaths for lack of memory, and return unused memory to the system."""
        self._exit_causes.tidy_up()
        heap.trim()

    def _kill_heavy(self, worker_id: WorkerId, why: str) -> None:
        """Kill a worker that holds too much memory, whatever it does."""
        if not self._present_users.kill(worker_id, why):
            log.error("worker %s is killed (%s)", worker_id, why)
            self.workers.kill(worker_id, why)

    def _ask_what_is_held(self) -> Iterator[WorkerId]:
        """Ask every process that can answer at the moment: connected workers, the fork server and the broker."""
        yield from (worker_id for worker_id in self._workers if self.router.send(worker_id, MeasureWorker()))
        if self._engine.measure_fork_server(
            lambda held: self._footprints.receive(FORK_SERVER_ID, ProcessFootprint(held))
        ):
            yield FORK_SERVER_ID
        if self.broker.is_connected:
            task = asyncio.get_running_loop().create_task(self._measure_broker())
            self._measuring.add(task)
            task.add_done_callback(self._measuring.discard)
            yield BROKER_ID

    async def _measure_broker(self) -> None:
        with contextlib.suppress(BrokerError):
            self._footprints.receive(BROKER_ID, ProcessFootprint(await self.broker.measure()))

    def _last_words(self, pid: int) -> list[str]:
        return logfile.recent(self._options.codex_home, LAST_WORDS, instance=os.getpid(), pid=pid)

    def _broker_told(self, broadcast: Broadcast) -> None:
        if isinstance(broadcast, AuthProblem):
            log.error("credentials: %s", broadcast.user_text)
        self.broadcasts.publish(broadcast)

    def _receive_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        if turn_id != BEFORE_TURNS:
            self.workers.replace(worker_id)
        self._present_users.receive_events(worker_id, turn_id, events)

    def _receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        self.event_streams.before_notice(worker_id, received.order)
        self._handle(worker_id, received)
        self.event_streams.after_notice(worker_id, received.order)

    def _handle(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        match received.notice:
            case Ready():
                self.workers.ready(worker_id)
            case WorkerMeasured(footprint=held, zygote=zygote):
                self._footprints.receive(worker_id, ProcessFootprint(held, zygote))
            case HelperLost() as lost:
                self._helper_lost(worker_id, lost)
            case _:
                self._present_users.receive(worker_id, received)

    def _exited(self, exited: Exited) -> None:
        self.router.catch_up()  # its last messages are handled before its death
        self.event_streams.finish(exited.id)
        self._footprints.forget(exited.id)
        if exited.id == FORK_SERVER_ID:
            self.exit_history.enter(exited, "starting processes", self._exit_causes.of(exited))
        elif exited.id == BROKER_ID:
            why = None if self._closing else self._exit_causes.of(exited)
            self._broker_process.ended(exited, why)
        elif self._workers.pop(exited.id, None) is not None:
            self._worker_ended(exited)
        elif not self._closing and exited.returncode != 0:
            died = self.exit_history.enter(exited, STARTING_COMMANDS, self._exit_causes.of_zygote(exited))
            log.error("the zygote, process %d, died (%s)", exited.pid, died.cause)

    def _worker_ended(self, exited: Exited) -> None:
        why = self._exit_causes.of(exited)
        was_waiting = self.workers.lost(exited.id)
        self._present_users.lost(exited, why)
        if self._present_users.are_at_rest:  # so that `status` shows what an idle server holds
            heap.trim()
        if not self._closing:
            self.broker.detach((exited.id,))
            if was_waiting:
                self.workers.waiting_worker_ended(exited, why, self._present_users)
            else:
                self.workers.replenish()
        elif not self._workers:
            self._empty.set()

    def _helper_lost(self, worker_id: WorkerId, lost: HelperLost) -> None:
        """Record the death of a process that a worker had for its commands; a shared one is reported by its parent."""
        node = self.workers.node_of(worker_id)
        if lost.is_shared:
            if lost.cause is not None and node is None:
                self._exit_causes.note_hung_zygote(lost.pid, lost.cause)
            return
        exited = Exited(
            id=WorkerId(lost.role), pid=lost.pid, returncode=lost.returncode, max_rss=lost.max_rss, node=node or ""
        )
        doing = STARTING_COMMANDS if lost.role == "zygote" else "watching over a command"
        died = self.exit_history.enter(exited, doing, lost.cause, *self._present_users.place_of(worker_id))
        log.error("a %s of worker %s, process %d, died (%s)", lost.role, worker_id, lost.pid, died.cause)

    def _dismiss_idle(self) -> None:
        """End the workers that host no conversation: they have nothing to save."""
        hosting = self._users.leaving if self._users is not None else frozenset()
        for worker_id in list(self._workers):
            if self.workers.node_of(worker_id) is not None:
                if worker_id not in hosting:  # its node ends it when the link closes
                    del self._workers[worker_id]
            elif self._engine.pid_of(worker_id) is None:  # still starting: the engine ends it when it closes
                del self._workers[worker_id]
            elif worker_id not in hosting:
                self._engine.kill(worker_id)

    async def _wait_until_workers_left(self, departure: Departure) -> None:
        if not self._workers:
            return
        try:
            async with asyncio.timeout(departure.left(LEAVE_TIMEOUT)):
                await self._empty.wait()
        except TimeoutError:
            pass
        if self._workers:
            log.warning("%d workers did not leave in time and are killed", len(self._workers))
