"""The supply of workers: starts them in advance and on demand, and assigns each to an order."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING

from greenroom.protocol.ids import ConversationId, Incarnation, NodeName, WorkerId, uuid7
from greenroom.protocol.internal.process import Exited, KeyPair, WorkerSpec
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.runtime.process import child
from greenroom.runtime.restart import Backoff, RestartPolicy
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes import exits
from greenroom.supervisor.processes.broker_process import BrokerProcess
from greenroom.supervisor.processes.endpoints import InstanceEndpoints, key_pair
from greenroom.supervisor.processes.engines.engine import Engine
from greenroom.supervisor.processes.event_streams import EventStreams
from greenroom.supervisor.processes.exit_causes import ExitCauses
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.memory_limit import MemoryWatchdog
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Opening, Wish
from greenroom.supervisor.processes.pool import Pool, PoolStatistics, WorkerRequest
from greenroom.supervisor.processes.restart import POOL, START
from greenroom.supervisor.processes.worker_router import WorkerRouter
from greenroom.supervisor.processes.worker_users import WorkerUsers

if TYPE_CHECKING:
    from greenroom.supervisor.processes.nodes.hub import NodeHub

log = logging.getLogger(__name__)

REPLENISH_DELAY = 0.05
"""Seconds after which another worker is started in place of one that was taken, if its first turn has sent no event by
then: it is started with that event, as the one just taken needs the cores until it has asked its model."""
EARLY_WORKERS = 1
"""Workers that are kept ready before the engine is: enough for a first call. Later ones share more memory."""
READY_TIMEOUT = 60.0
"""Seconds that a worker has to become ready before it counts as hung."""


class WorkerSupply:
    """All workers of an instance, from their start until they are assigned, and again from their end."""

    def __init__(
        self,
        options: ServerOptions,
        engine: Engine,
        endpoints: InstanceEndpoints,
        router: WorkerRouter,
        event_streams: EventStreams,
        broker: BrokerProcess,
        memory_watchdog: MemoryWatchdog,
        exit_history: ExitHistory,
        exit_causes: ExitCauses,
        workers: dict[WorkerId, KeyPair],
    ) -> None:
        """`workers` are those that are starting or alive; they are entered here, and removed by the tree."""
        self._options = options
        self._engine = engine
        self._endpoints = endpoints
        self._router = router
        self._event_streams = event_streams
        self._broker = broker
        self._memory_watchdog = memory_watchdog
        self._exit_history = exit_history
        self._exit_causes = exit_causes
        self._workers = workers
        self._size = options.idle_workers
        self.pool = Pool(min(self._size, EARLY_WORKERS), self._has_ended)
        self._policy = RestartPolicy(POOL)
        self._refusals = Backoff(START)
        self._retry: asyncio.TimerHandle | None = None
        """When workers are tried again that the system has refused to start."""
        self._obstacle: str | None = None
        self._deadlines: dict[WorkerId, asyncio.TimerHandle] = {}
        """When workers that are starting have to be ready."""
        self._unreplaced: dict[WorkerId, asyncio.TimerHandle] = {}
        """Workers that were taken, and when another is started in place of each at the latest."""
        self._admissions: set[asyncio.Task[None]] = set()
        self._unadmitted: dict[WorkerId, KeyPair] = {}
        """Workers that the broker is told of together, when this pass of the loop is over."""
        self.nodes: NodeHub | None = None
        """The workers of other machines, where there may be any; set by the tree."""
        self._closing = False

    @property
    def obstacle(self) -> str | None:
        """The error of the last failed start of a worker, as text."""
        return self._obstacle

    @property
    def waiting(self) -> tuple[WorkerId, ...]:
        """The workers that are ready for a conversation."""
        return self.pool.waiting + (() if self.nodes is None else self.nodes.supply.waiting)

    def statistics(self) -> PoolStatistics:
        """Return the counters of the pool, and of those of the nodes."""
        own = self.pool.statistics()
        if self.nodes is None:
            return own
        there = self.nodes.supply.statistics()
        return PoolStatistics(own.waiting + there.waiting, own.expected + there.expected, own.orders + there.orders)

    def enrol_first(self) -> Mapping[WorkerId, KeyPair]:
        """Enter the first workers, which a broker that is started next admits by its spec."""
        return self._enrol(self.pool.missing)

    def take(self, order: WorkerRequest, wish: Wish = ON_HOST) -> None:
        """Assign a worker to `order`: a ready one, or the next one that becomes ready.

        `wish`: what the conversation needs of its machine, which is this one where there are no nodes.
        """
        if self.nodes is not None and not wish.only_here and self.nodes.place(order, wish, self._busy()):
            return
        taken = self.pool.take(order)
        if taken is None:
            self.replenish()
        else:
            self._unreplaced[taken] = asyncio.get_running_loop().call_later(REPLENISH_DELAY, self.replace, taken)

    def replace(self, worker_id: WorkerId) -> None:
        """Start another worker in place of one that was taken, unless that is done."""
        if (due := self._unreplaced.pop(worker_id, None)) is not None:
            due.cancel()
            self.replenish()

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""
        self.pool.withdraw(order)
        if self.nodes is not None:
            self.nodes.withdraw(order)

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        """Kill a worker and everything it started; `why` is reported as the cause of its death."""
        if why is not None and worker_id in self._workers:
            self._exit_causes.note_kill(worker_id, why)
        self._end(worker_id)

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        """Return the node of a worker; `None` where it is of this machine."""
        return None if self.nodes is None else self.nodes.engine.node_of(worker_id)

    def room(self, only_here: int) -> int | None:
        """Return how many conversations may have a process on all machines; `None` where nodes set no bound.

        `only_here`: those that have one and can run on the host alone.
        """
        return None if self.nodes is None else self.nodes.room(only_here)

    @property
    def has_nodes(self) -> bool:
        """Whether workers may be on other machines."""
        return self.nodes is not None

    def note_waiting(self) -> None:
        """Note that a conversation waits for a slot."""
        if self.nodes is not None:
            self.nodes.note_waiting()

    def refusal(self, wish: Wish) -> str | None:
        """Return why a conversation can run nowhere, however long it waits; `None` where it can."""
        if self.nodes is None:
            return "it asks for resources, and this host has no nodes" if wish.needs else None
        return self.nodes.refusal(wish)

    def lacking(self, wish: Wish) -> str | None:
        """Return what a conversation has waited for in vain that needs more than a worker."""
        return None if self.nodes is None else self.nodes.lacking(wish)

    def can_go_elsewhere(self, wish: Wish) -> bool:
        """Tell whether there is a machine that has the directory of a conversation, as far as that is known."""
        return self.nodes is not None and self.nodes.can_go_elsewhere(wish, self._busy())

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        """Note what the next turn overrides of a worker, which may be on a node."""
        if self.nodes is not None:
            self.nodes.begin_turn(worker_id, settings)

    def announced(self, worker_id: WorkerId, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        """Return the notice of a worker that has opened its conversation, and its event `session_configured`.

        `None` where the worker is ended instead.
        """
        return (notice, configured) if self.nodes is None else self.nodes.announced(worker_id, notice, configured)

    def opening(
        self, worker_id: WorkerId, conversation_id: ConversationId, incarnation: Incarnation, opening: Opening
    ) -> bytes | None:
        """Return what a worker of a node is told of the home with its conversation, as JSON; `None` for all others."""
        return None if self.nodes is None else self.nodes.opening(worker_id, conversation_id, incarnation, opening)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return the process id of a worker that is alive on this machine."""
        return self._engine.pid_of(worker_id)

    def fill(self) -> None:
        """Keep as many workers ready as are configured, from now on."""
        self.pool.resize(self._size)
        self.replenish()

    def stop_replenishing(self) -> None:
        """Keep no workers ready any more; those that are ordered are still started."""
        self._size = 0
        self.pool.resize(0)

    def replenish(self) -> None:
        """Start the missing workers while the broker is told of them: a worker that it refuses connects again."""
        if self.pool.missing and not self._closing:
            newcomers = self._enrol(self.pool.missing)
            if not self._unadmitted:
                self._in_background(self._admit())
            self._unadmitted.update(newcomers)
            self.start(newcomers)

    def start(self, newcomers: Mapping[WorkerId, KeyPair]) -> None:
        """Start workers, and ensure that each becomes ready or ends; the engine reports failed starts."""
        loop = asyncio.get_running_loop()
        for worker_id, keys in newcomers.items():
            self._deadlines[worker_id] = loop.call_later(READY_TIMEOUT, self._end_unready, worker_id)
            self._engine.spawn(self._spec(worker_id, keys))

    def ready(self, worker_id: WorkerId) -> None:
        """Handle that a worker is ready; one that is not needed any more is ended."""
        if self.nodes is not None and self.nodes.supply.ready(worker_id):
            return
        self._cancel_deadline(worker_id)
        self._engine.came_up(worker_id)
        self._obstacle = None
        if not self.pool.ready(worker_id):
            self._engine.kill(worker_id)

    def lost(self, worker_id: WorkerId) -> bool:
        """Note that a worker has ended; return whether no conversation had been assigned to it."""
        self._router.revoke(worker_id)
        self._cancel_deadline(worker_id)
        self.replace(worker_id)
        return self.pool.lost(worker_id)

    def lost_on_node(self, exited: Exited) -> None:
        """Note that a worker of a node has ended."""
        self._router.revoke(exited.id)
        if self.nodes is not None:
            self.nodes.supply.lost(exited)

    def enter(self, newcomers: Mapping[WorkerId, KeyPair]) -> None:
        """Let new workers of a node in, at the router and at the broker."""
        self._broker.enter_on_node(newcomers)
        for worker_id, keys in newcomers.items():
            self._workers[worker_id] = keys
            self._router.admit(worker_id, keys.public)
        self._in_background(self._broker.admit(newcomers))

    def waiting_worker_ended(self, exited: Exited, why: str | None, users: WorkerUsers) -> None:
        """Replace a worker that died before it had a conversation, unless all of them do."""
        fork_server = self._engine.fork_server
        if exited.start_error is not None and fork_server is not None and fork_server.state == "restarting":
            self.replenish()  # it ended with its fork server
            return
        if exited.start_error is not None:
            self._start_refused(exited)
            return
        cause = self._exit_history.enter(exited, "waiting for a conversation", why).cause
        loop = asyncio.get_running_loop()
        delay = self._policy.on_death(loop.time())
        log.error("a waiting worker died (%s)", cause)
        if delay is None:
            self.pool.forget_orders()
            users.fail_waiting(cause, exits.exit_facts(exited))
            delay = POOL.period
        if delay:
            loop.call_later(delay, self.replenish)
        else:
            self.replenish()

    async def _admit(self) -> None:
        newcomers, self._unadmitted = self._unadmitted, {}
        await self._broker.admit(newcomers)

    def _busy(self) -> int:
        """Return how many workers of this machine have a conversation or a job, or are ordered for one."""
        remote = 0 if self.nodes is None else self.nodes.workers
        figures = self.pool.statistics()
        return len(self._workers) - remote - figures.waiting - figures.expected + figures.orders

    def _has_ended(self, worker_id: WorkerId) -> bool:
        """Tell whether a worker of this machine has ended, though the engine may not have reported it yet."""
        pid = self._engine.pid_of(worker_id)
        return pid is not None and child.has_ended(pid)

    def _end(self, worker_id: WorkerId) -> None:
        """Kill a worker, wherever it is."""
        if self.nodes is not None and self.nodes.engine.node_of(worker_id) is not None:
            self.nodes.engine.kill(worker_id)
        else:
            self._engine.kill(worker_id)

    def close(self) -> None:
        """Start no more workers."""
        self._closing = True
        if self.nodes is not None:
            self.nodes.supply.close()
        if self._retry is not None:
            self._retry.cancel()
        for timer in (*self._deadlines.values(), *self._unreplaced.values()):
            timer.cancel()
        for admission in self._admissions:
            admission.cancel()

    def _enrol(self, count: int) -> dict[WorkerId, KeyPair]:
        """Create ids and keys for workers that are to be started, and admit them to the router."""
        newcomers = {WorkerId(f"w-{uuid7()}"): key_pair() for _ in range(count)}
        if newcomers:
            self._memory_watchdog.begin()
        for worker_id, keys in newcomers.items():
            self._workers[worker_id] = keys
            self._router.admit(worker_id, keys.public)
            self.pool.expect(worker_id)
        return newcomers

    def _spec(self, worker_id: WorkerId, keys: KeyPair) -> WorkerSpec:
        endpoints = self._endpoints
        return WorkerSpec(
            id=worker_id,
            keys=keys,
            supervisor_pid=os.getpid(),
            codex_home=self._options.codex_home,
            runtime_directory=endpoints.directory,
            log_level=self._options.log_level,
            mailbox_address=endpoints.address("mailbox"),
            mailbox_key=endpoints.keys.public,
            events_path=endpoints.events_path,
            events_ticket=self._event_streams.admit(worker_id),
            broker_address=endpoints.address("broker"),
            broker_key=endpoints.broker_keys.public,
            broadcast_address=endpoints.address("changes"),
        )

    def _end_unready(self, worker_id: WorkerId) -> None:
        """End a worker that is not ready in time."""
        if self._engine.pid_of(worker_id) is not None:
            log.error("worker %s hangs: not ready after %.0f s; killing it", worker_id, READY_TIMEOUT)
            self._engine.kill(worker_id)
        loop = asyncio.get_running_loop()
        self._deadlines[worker_id] = loop.call_later(READY_TIMEOUT, self._end_unready, worker_id)

    def _cancel_deadline(self, worker_id: WorkerId) -> None:
        if (deadline := self._deadlines.pop(worker_id, None)) is not None:
            deadline.cancel()

    def _start_refused(self, exited: Exited) -> None:
        """Retry after a delay what the system has refused to start; orders stay in the queue."""
        self._obstacle = exits.cause(exited)
        if self._retry is not None:
            return
        self._exit_history.enter(exited, "being started")
        loop = asyncio.get_running_loop()
        delay = self._refusals.on_death(loop.time())
        log.error("a worker %s; trying again in %.1f s", self._obstacle, delay)
        self._retry = loop.call_later(delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.replenish()

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._admissions.add(task)
        task.add_done_callback(self._admissions.discard)
