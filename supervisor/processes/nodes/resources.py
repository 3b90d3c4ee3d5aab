"""What resources conversations have of their nodes, and which wait for some. Free of I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.supervisor.processes.nodes.placement import Candidate
from greenroom.supervisor.processes.nodes.wish import Needs
from greenroom.supervisor.processes.pool import WorkerRequest


@dataclass(slots=True)
class Reservations:
    """What of the nodes' resources is taken: by an order first, by the worker that fulfils it then."""

    totals: Callable[[NodeName], Mapping[str, float]]
    """Returns what a node has."""
    _taken: dict[WorkerRequest | WorkerId, tuple[NodeName, Needs]] = field(default_factory=dict)

    def fits(self, node: NodeName, needs: Needs) -> bool:
        """Tell whether a node has these resources free."""
        total = self.totals(node)
        return all(total.get(name, 0.0) - self._used(node, name) >= amount - 1e-9 for name, amount in needs)

    def has(self, node: NodeName, needs: Needs) -> bool:
        """Tell whether a node has these resources, free or not."""
        total = self.totals(node)
        return all(total.get(name, 0.0) >= amount for name, amount in needs)

    def take(self, holder: WorkerRequest | WorkerId, node: NodeName, needs: Needs) -> None:
        """Note that resources are taken."""
        if needs:
            self._taken[holder] = node, needs

    def pass_on(self, order: WorkerRequest, worker_id: WorkerId) -> None:
        """Note that a worker has what was taken for its order."""
        if (taken := self._taken.pop(order, None)) is not None:
            self._taken[worker_id] = taken

    def release(self, holder: WorkerRequest | WorkerId) -> bool:
        """Note that they are free again; return whether there were any."""
        return self._taken.pop(holder, None) is not None

    def fitting(self, needs: Needs, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Yield the nodes that have these resources free."""
        yield from (one for one in candidates if self.fits(one.name, needs))

    def _used(self, node: NodeName, name: str) -> float:
        return sum(dict(needs).get(name, 0.0) for at, needs in self._taken.values() if at == node)
