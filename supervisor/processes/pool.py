"""Which workers wait for a conversation, which are on their way, and who waits for a worker. Free of I/O."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from greenroom.protocol.ids import WorkerId

WorkerRequest: TypeAlias = Callable[[WorkerId], None]
"""Called once with the worker that was ordered."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """How the pool stands."""

    waiting: int
    """Workers that are ready."""
    expected: int
    """Workers that were asked for and are not ready yet."""
    orders: int
    """Orders that wait for a worker."""


class Pool:
    """Keeps `size` workers waiting in advance; `missing` says how many have to be born for that."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[WorkerId] = deque()
        self._expected: set[WorkerId] = set()
        self._orders: deque[WorkerRequest] = deque()

    def resize(self, size: int) -> None:
        """Keep so many workers waiting from now on."""
        self._size = size

    @property
    def missing(self) -> int:
        """How many workers to ask for, beyond those that are on their way."""
        return max(0, self._size + len(self._orders) - len(self._waiting) - len(self._expected))

    @property
    def has_orders(self) -> bool:
        """Whether somebody waits for a worker."""
        return bool(self._orders)

    @property
    def waiting(self) -> tuple[WorkerId, ...]:
        """The workers that are ready, longest first."""
        return tuple(self._waiting)

    def expect(self, worker_id: WorkerId) -> None:
        """Note that a worker was asked for."""
        self._expected.add(worker_id)

    def take(self, order: WorkerRequest) -> None:
        """Give a waiting worker to `order` at once, or the next one that gets ready."""
        if self._waiting:
            order(self._waiting.popleft())
        else:
            self._orders.append(order)

    def withdraw(self, order: WorkerRequest) -> None:
        """Forget an order, unless it has been met."""
        if order in self._orders:
            self._orders.remove(order)

    def forget_orders(self) -> None:
        """Forget the orders that have not been met."""
        self._orders.clear()

    def ready(self, worker_id: WorkerId) -> bool:
        """Note that a worker is ready, and meet the oldest order with it. One that was lost meanwhile is nobody's.

        Return whether it is needed: one whose order was forgotten may be one too many, and no longer belongs here.
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
        return False

    def statistics(self) -> PoolStatistics:
        """Return how the pool stands."""
        return PoolStatistics(len(self._waiting), len(self._expected), len(self._orders))
