"""What resources conversations have of their nodes, and which wait for some. Free of I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.supervisor.processes.nodes.wish import Needs
from greenroom.supervisor.processes.pool import WorkerRequest


@dataclass(slots=True)
class Reservations:
    """What of the nodes' resources is taken: by an order first, by the worker that fulfils it then."""

    totals: Callable[[NodeName], Mapping[str, float]]
    """Returns what a node has."""
    _nodes: dict[WorkerRequest | WorkerId, NodeName] = field(default_factory=dict)
    """Of those that have taken some."""
    _on_nodes: dict[NodeName, dict[WorkerRequest | WorkerId, Needs]] = field(default_factory=dict)

    def fits(self, node: NodeName, needs: Needs) -> bool:
        """Tell whether a node has these resources free."""
        if not needs:
            return True
        total = self.totals(node)
        return all(total.get(name, 0.0) - self._used(node, name) >= amount - 1e-9 for name, amount in needs)

    def has(self, node: NodeName, needs: Needs) -> bool:
        """Tell whether a node has these resources, free or not."""
        total = self.totals(node)
        return all(total.get(name, 0.0) >= amount for name, amount in needs)

    def take(self, holder: WorkerRequest | WorkerId, node: NodeName, needs: Needs) -> None:
        """Note that resources are taken."""
        if needs:
            self._nodes[holder] = node
            self._on_nodes.setdefault(node, {})[holder] = needs

    def pass_on(self, order: WorkerRequest, worker_id: WorkerId) -> None:
        """Note that a worker has what was taken for its order."""
        if (node := self._nodes.get(order)) is not None:
            needs = self._on_nodes[node][order]
            self.release(order)
            self.take(worker_id, node, needs)

    def release(self, holder: WorkerRequest | WorkerId) -> bool:
        """Note that they are free again; return whether there were any."""
        node = self._nodes.pop(holder, None)
        if node is None:
            return False
        del self._on_nodes[node][holder]
        return True

    def _used(self, node: NodeName, name: str) -> float:
        return sum(dict(needs).get(name, 0.0) for needs in self._on_nodes.get(node, {}).values())
