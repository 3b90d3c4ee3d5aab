"""The queues of ready workers, of starting workers, and of orders for a worker. Free of I/O."""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from greenroom.protocol.ids import WorkerId

WorkerRequest: TypeAlias = Callable[[WorkerId], None]
"""Called once with the worker that was ordered."""


class PoolStatistics(msgspec.Struct, frozen=True):
    """Counters of the pool."""

    waiting: int
    """Workers that are ready."""
    expected: int
    """Workers that were requested and are not ready yet."""
    orders: int
    """Orders that wait for a worker."""


class Pool:
    """Keeps `size` workers ready in advance; `missing` says how many have to be started for that."""

    def __init__(self, size: int, has_ended: Callable[[WorkerId], bool] = lambda _: False) -> None:
        """`has_ended` tells whether a worker has, also where that is still to be reported (`lost`)."""
        self._size = size
        self._has_ended = has_ended
        self._waiting: deque[WorkerId] = deque()
        self._ended: set[WorkerId] = set()
        """Workers that ended while they waited, and whose end is still to be reported."""
        self._expected: set[WorkerId] = set()
        self._orders: deque[WorkerRequest] = deque()

    def resize(self, size: int) -> None:
        """Keep this number of workers ready from now on."""
        self._size = size

    @property
    def missing(self) -> int:
        """Number of workers to request, beyond those that are starting."""
        return max(0, self._size + len(self._orders) - len(self._waiting) - len(self._expected))

    @property
    def has_orders(self) -> bool:
        """Whether an order waits for a worker."""
        return bool(self._orders)

    @property
    def waiting(self) -> tuple[WorkerId, ...]:
        """The workers that are ready, longest first."""
        return tuple(self._waiting)

    def expect(self, worker_id: WorkerId) -> None:
        """Note that a worker was requested."""
        self._expected.add(worker_id)

    def take(self, order: WorkerRequest) -> WorkerId | None:
        """Assign a ready worker to `order` at once and return it, else the next one that becomes ready."""
        while self._waiting:
            worker_id = self._waiting.popleft()
            if not self._has_ended(worker_id):
                order(worker_id)
                return worker_id
            self._ended.add(worker_id)
        self._orders.append(order)
        return None

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order, unless it has been fulfilled."""
        if order in self._orders:
            self._orders.remove(order)

    def forget_orders(self) -> None:
        """Cancel all orders that have not been fulfilled."""
        self._orders.clear()

    def ready(self, worker_id: WorkerId) -> bool:
        """Note that a worker is ready, and fulfil the oldest order with it. One that ended meanwhile is ignored.

        Return whether it is needed: one whose order was cancelled may be surplus, and no longer belongs to the pool.
        """
        if worker_id not in self._expected:
            return True
        self._expected.remove(worker_id)
        if self._orders:
            self._orders.popleft()(worker_id)
        elif len(self._waiting) >= self._size:
            return False
        else:
            self._waiting.append(worker_id)
        return True

    def lost(self, worker_id: WorkerId) -> bool:
        """Note that a worker ended. Return whether it belonged to the pool."""
        if worker_id in self._expected:
            self._expected.remove(worker_id)
            return True
        if worker_id in self._waiting:
            self._waiting.remove(worker_id)
            return True
        if worker_id in self._ended:
            self._ended.remove(worker_id)
            return True
        return False

    def statistics(self) -> PoolStatistics:
        """Return the counters."""
        return PoolStatistics(len(self._waiting), len(self._expected), len(self._orders))
