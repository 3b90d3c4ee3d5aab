"""The workers of all nodes without a conversation: a pool for each node, and the orders that wait there."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.runtime.restart import RestartPolicy
from greenroom.supervisor.processes.nodes.engine import NodeEngine, NodeView
from greenroom.supervisor.processes.nodes.placement import Candidate, NodeRanking
from greenroom.supervisor.processes.pool import Pool, PoolStatistics, WorkerRequest
from greenroom.supervisor.processes.restart import POOL

log = logging.getLogger(__name__)

READY_TIMEOUT = 60.0
"""Seconds that a worker has to become ready before it counts as hung."""
REPLENISH_DELAY = 0.015
"""Seconds between taking a ready worker and starting another."""

EnrolWorkers: TypeAlias = Callable[[NodeName, int], None]
"""Enters a number of new workers of a node and starts them there; calls `NodeSupply.expect` with each first."""
Displace: TypeAlias = Callable[[WorkerRequest], None]
"""Called with an order for which there will be no worker on its node."""


@dataclass(slots=True)
class _Stock:
    """What there is of one node."""

    pool: Pool
    policy: RestartPolicy = field(default_factory=lambda: RestartPolicy(POOL))
    orders: dict[WorkerRequest, WorkerRequest] = field(default_factory=dict)
    """Orders that wait, each with what the pool has in its place."""
    workers: set[WorkerId] = field(default_factory=set)
    failing_until: float = 0.0
    """Until when nothing is ordered there, because its workers die as they start; the loop's time."""


class NodeSupply:
    """Runs on the host's loop."""

    def __init__(
        self,
        engine: NodeEngine,
        idle_workers: int,
        enrol: EnrolWorkers,
        displace: Displace,
        fulfilled: Callable[[WorkerRequest, WorkerId], None] = lambda _, __: None,
    ) -> None:
        """`fulfilled` is called with each order and its worker, before the order itself."""
        self._fulfilled = fulfilled
        self._engine = engine
        self._size = idle_workers
        self._enrol = enrol
        self._displace = displace
        self._stocks: dict[NodeName, _Stock] = {}
        self._nodes: dict[WorkerId, NodeName] = {}
        self._order_nodes: dict[WorkerRequest, NodeName] = {}
        self._deadlines: dict[WorkerId, asyncio.TimerHandle] = {}
        self.ranking = NodeRanking()
        """The nodes with the workers that have something to do, as they stand."""
        self._loop = asyncio.get_running_loop()
        self._closing = False

    @property
    def waiting(self) -> tuple[WorkerId, ...]:
        """The workers that are ready for a conversation, of all nodes."""
        return tuple(worker_id for stock in self._stocks.values() for worker_id in stock.pool.waiting)

    def statistics(self) -> PoolStatistics:
        """Return the counters of the pools of all nodes, added up."""
        each = [stock.pool.statistics() for stock in self._stocks.values()]
        return PoolStatistics(
            sum(one.waiting for one in each), sum(one.expected for one in each), sum(one.orders for one in each)
        )

    @property
    def busy(self) -> int:
        """Conversations that have a worker on a node, or that one is being started for."""
        return sum(map(self._busy, self._stocks.values()))

    def take(self, node: NodeName, order: WorkerRequest) -> None:
        """Assign a worker of a node to `order`: a ready one, or the next one that becomes ready."""
        stock = self._stocks[node]

        def fulfil(worker_id: WorkerId) -> None:
            stock.orders.pop(order, None)
            self._order_nodes.pop(order, None)
            self._fulfilled(order, worker_id)
            order(worker_id)

        stock.orders[order] = fulfil
        self._order_nodes[order] = node
        stock.pool.take(fulfil)
        self._rank(node)
        if stock.pool.has_orders:
            self._replenish(node)
        else:
            self._loop.call_later(REPLENISH_DELAY, self._replenish, node)

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""
        node = self._order_nodes.pop(order, None)
        if node is not None and (fulfil := self._stocks[node].orders.pop(order, None)) is not None:
            self._stocks[node].pool.withdraw(fulfil)
            self._rank(node)

    def expect(self, node: NodeName, worker_id: WorkerId) -> None:
        """Note a worker that is being started."""
        stock = self._stocks[node]
        stock.workers.add(worker_id)
        self._nodes[worker_id] = node
        stock.pool.expect(worker_id)
        self._rank(node)
        self._deadlines[worker_id] = self._loop.call_later(READY_TIMEOUT, self._end_unready, worker_id)

    def ready(self, worker_id: WorkerId) -> bool:
        """Handle that a worker is ready; return whether it is one of a node."""
        node = self._nodes.get(worker_id)
        if node is None:
            return False
        self._cancel_deadline(worker_id)
        if not self._stocks[node].pool.ready(worker_id):
            self._engine.kill(worker_id)
        self._rank(node)
        return True

    def lost(self, exited: Exited) -> bool | None:
        """Note that a worker has ended; return whether it had no conversation, `None` where it is of no node."""
        node = self._nodes.pop(exited.id, None)
        if node is None:
            return None
        self._cancel_deadline(exited.id)
        stock = self._stocks[node]
        stock.workers.discard(exited.id)
        was_waiting = stock.pool.lost(exited.id)
        if was_waiting and self._is_ready(node):
            self._waiting_worker_ended(node, stock)
        elif self._is_ready(node):
            self._replenish(node)
        self._rank(node)
        return was_waiting

    def changed(self, node: NodeName) -> None:
        """Follow the state of a node: fill its pool, or pass its orders on."""
        stock = self._stocks.setdefault(node, _Stock(Pool(self._size)))
        view = self._engine.view(node)
        if view is None or view.state != "ready":
            stock.pool.resize(0)
            self._displace_all(node, stock)
            for worker_id in stock.pool.waiting if view is not None and view.state == "draining" else ():
                self._engine.kill(worker_id)
        else:
            stock.pool.resize(self._size)
            self._replenish(node)
        self._rank(node)

    def retreat(self) -> None:
        """Start no more workers, end those without a conversation, and pass all orders on."""
        self._closing = True
        for node, stock in self._stocks.items():
            stock.pool.resize(0)
            self._displace_all(node, stock)
            for worker_id in stock.pool.waiting:
                self._engine.kill(worker_id)
            self._rank(node)

    def close(self) -> None:
        """Start no more workers."""
        self._closing = True
        for deadline in self._deadlines.values():
            deadline.cancel()

    def _replenish(self, node: NodeName) -> None:
        stock, view = self._stocks[node], self._engine.view(node)
        if self._closing or view is None or not self._takes_orders(view, stock):
            return
        self._rank(node)  # it may have been unfit for a while
        missing = min(stock.pool.missing, max(0, view.capacity - view.workers))
        if missing:
            self._enrol(node, missing)

    def _waiting_worker_ended(self, node: NodeName, stock: _Stock) -> None:
        delay = stock.policy.on_death(self._loop.time())
        if delay is None:
            log.error("node %s: its workers die as they start; nothing is placed there for %.0f s", node, POOL.period)
            stock.failing_until = self._loop.time() + POOL.period
            self._displace_all(node, stock)
            delay = POOL.period
        self._loop.call_later(delay, self._replenish, node)

    def _displace_all(self, node: NodeName, stock: _Stock) -> None:
        orders = list(stock.orders)
        stock.orders.clear()
        stock.pool.forget_orders()
        for order in orders:
            self._order_nodes.pop(order, None)
        self._rank(node)
        for order in orders:
            log.warning("a conversation that waited for node %s goes elsewhere", node)
            self._displace(order)

    def _takes_orders(self, view: NodeView, stock: _Stock) -> bool:
        return view.state == "ready" and self._loop.time() >= stock.failing_until

    def _busy(self, stock: _Stock) -> int:
        figures = stock.pool.statistics()
        return len(stock.workers) - figures.waiting - figures.expected + figures.orders

    def _is_ready(self, node: NodeName) -> bool:
        view = self._engine.view(node)
        return view is not None and view.state == "ready"

    def _rank(self, node: NodeName) -> None:
        """Rank a node by what it has to do now."""
        stock, view = self._stocks[node], self._engine.view(node)
        if view is None:
            self.ranking.forget(node)
        else:
            takes = self._takes_orders(view, stock)
            self.ranking.note(Candidate(node, view.capacity, self._busy(stock), takes))

    def _end_unready(self, worker_id: WorkerId) -> None:
        log.error("worker %s hangs: not ready after %.0f s; killing it", worker_id, READY_TIMEOUT)
        self._engine.kill(worker_id, "not ready in time")

    def _cancel_deadline(self, worker_id: WorkerId) -> None:
        if (deadline := self._deadlines.pop(worker_id, None)) is not None:
            deadline.cancel()
