"""An engine with one node, for tests of what orders workers there."""

from collections.abc import Sequence

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.supervisor.processes.nodes.engine import NodeView, OnNodeChange, OnWorkerExit
from greenroom.supervisor.processes.nodes.membership import NodeState

N1 = NodeName("n1")


class OneNodeEngine:
    """Implements `NodeEngine` with one node, of which a test says how it stands."""

    def __init__(self, capacity: int) -> None:
        self.state: NodeState = "ready"
        self.capacity = capacity
        self.living: list[WorkerId] = []
        self.killed: list[WorkerId] = []

    def start(self, on_exit: OnWorkerExit, on_change: OnNodeChange) -> None: ...

    def nodes(self) -> Sequence[NodeView]:
        return [NodeView(N1, self.state, self.capacity, len(self.living))]

    def view(self, node: NodeName) -> NodeView | None:
        return self.nodes()[0] if node == N1 else None

    @property
    def workers(self) -> int:
        return len(self.living)

    def spawn(self, node: NodeName, spec: WorkerSpec) -> None: ...

    def kill(self, worker_id: WorkerId, why: str = "") -> None:
        self.killed.append(worker_id)

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        return N1

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return None

    def connection_lost(self, worker_id: WorkerId) -> None: ...

    def give_up_worker(self, worker_id: WorkerId, why: str) -> None: ...

    def drain(self, node: NodeName) -> bool:
        return True

    def close(self) -> None: ...
