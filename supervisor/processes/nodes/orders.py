"""Orders of workers on nodes: where each is placed, what resources it has there, and which wait for some."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from greenroom.protocol.ids import HERE, NodeName, WorkerId
from greenroom.supervisor.processes.nodes.engine import NodeEngine
from greenroom.supervisor.processes.nodes.placement import Candidate, PathsOf, choose
from greenroom.supervisor.processes.nodes.resources import Reservations
from greenroom.supervisor.processes.nodes.supply import EnrolWorkers, NodeSupply
from greenroom.supervisor.processes.nodes.wish import Needs, Wish
from greenroom.supervisor.processes.pool import WorkerRequest

PlaceAgain: TypeAlias = Callable[[WorkerRequest, Wish], None]
"""Called with an order whose node is gone, or has no worker for it."""


class NodeOrders:
    """An order is placed on a node, or waits for one with its resources, until it is fulfilled, withdrawn or displaced.

    Runs on the host's loop.
    """

    def __init__(
        self,
        engine: NodeEngine,
        idle_workers: int,
        host_capacity: int,
        paths_of: PathsOf,
        resources_of: Callable[[NodeName], Mapping[str, float]],
        enrol: EnrolWorkers,
        place_again: PlaceAgain,
    ) -> None:
        """`host_capacity`: conversations that the host runs before it counts as full."""
        self.supply = NodeSupply(engine, idle_workers, enrol, self._displaced, self._fulfilled)
        self._host_capacity = host_capacity
        self._paths_of = paths_of
        self._place_again = place_again
        self._reservations = Reservations(resources_of)
        self._placed: dict[WorkerRequest, Wish] = {}
        self._unplaced: dict[WorkerRequest, Wish] = {}
        """Orders that wait for a node with their resources."""
        self._is_retreating = False

    @property
    def waiting(self) -> Sequence[Needs]:
        """The resources that orders wait for, of each order."""
        return [wish.needs for wish in self._unplaced.values()]

    def choose(self, wish: Wish, busy_here: int) -> NodeName:
        """Return where a conversation is to run, of which the host runs `busy_here`; `HERE` where no node is fit."""
        if self._is_retreating:
            return HERE
        host = Candidate(HERE, 0 if wish.needs else self._host_capacity, busy_here)
        return choose(
            wish,
            host,
            self.supply.ranking,
            self._paths_of,
            lambda node: self._reservations.fits(node, wish.needs),
        )

    def place(self, order: WorkerRequest, wish: Wish, busy_here: int) -> bool:
        """Order a worker of a node, or wait for one with the resources; return false where the host is to run it."""
        node = self.choose(wish, busy_here)
        if node != HERE:
            self._take(node, order, wish)
        elif wish.needs:
            self._unplaced[order] = wish
        else:
            return False
        return True

    def place_waiting(self) -> None:
        """Place the orders that wait for resources, as far as there are any by now."""
        for order, wish in list(self._unplaced.items()):
            if (node := self.choose(wish, 0)) != HERE:
                del self._unplaced[order]
                self._take(node, order, wish)

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""
        self._placed.pop(order, None)
        self._unplaced.pop(order, None)
        self._reservations.release(order)
        self.supply.withdraw(order)

    def has(self, node: NodeName, needs: Needs) -> bool:
        """Tell whether a node has these resources, free or not."""
        return self._reservations.has(node, needs)

    def changed(self, node: NodeName) -> None:
        """Follow the state of a node: pass on what is ordered there, or place what waits for its resources."""
        self.supply.changed(node)
        self.place_waiting()

    def ended(self, worker_id: WorkerId) -> None:
        """Note that a worker has ended; its resources go to orders that wait for them."""
        if self._reservations.release(worker_id):
            self.place_waiting()

    def retreat(self) -> None:
        """Place nothing on nodes any more, and pass on what is ordered there."""
        self._is_retreating = True
        self.supply.retreat()

    def _take(self, node: NodeName, order: WorkerRequest, wish: Wish) -> None:
        self._placed[order] = wish
        self._reservations.take(order, node, wish.needs)
        self.supply.take(node, order)

    def _fulfilled(self, order: WorkerRequest, worker_id: WorkerId) -> None:
        self._placed.pop(order, None)
        self._reservations.pass_on(order, worker_id)

    def _displaced(self, order: WorkerRequest) -> None:
        wish = self._placed.pop(order, Wish())
        self._reservations.release(order)
        self._place_again(order, wish)
