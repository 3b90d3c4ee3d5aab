"""The interface of what has workers on other machines: nodes with their states and capacities, and their ends.

What places nodes is behind it: `join_engine` takes what joins by itself. Another one starts the nodes that then join.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.process import Exited, WorkerSpec
from greenroom.supervisor.processes.nodes.membership import NodeState

OnWorkerExit: TypeAlias = Callable[[Exited], None]
OnNodeChange: TypeAlias = Callable[[NodeName], None]


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node at this moment."""

    name: NodeName
    state: NodeState
    capacity: int
    """Workers that it takes at a time."""
    workers: int
    """Workers that it has, those that are starting included."""
    version: str = ""
    round_trip: float | None = None
    """Seconds that a message takes there and back, as the node has measured last."""
    heard_ago: float | None = None
    """Seconds since its last sign of life."""
    memory: int | None = None
    """Bytes of resident memory of all its processes."""
    free_memory: int | None = None
    """Bytes that its machine could still give out."""
    load: float | None = None
    """Load average of its machine over a minute, by core."""
    free_disk: int | None = None
    """Bytes that its user can still write where its state is."""
    sandbox: str = ""
    """Why commands cannot be confined there; empty where they can."""
    engine: str = "join"
    """What has placed it."""
    note: str = ""
    """What it waits for, for people."""

    @property
    def takes_workers(self) -> bool:
        """Whether another worker may be started there."""
        return self.state == "ready" and self.workers < self.capacity


class NodeEngine(Protocol):
    """A keeper of nodes and of the workers on them. All calls are made on the host's loop and none of them blocks."""

    def start(self, on_exit: OnWorkerExit, on_change: OnNodeChange) -> None:
        """Take nodes from now on.

        Each end of a worker is reported to `on_exit` exactly once, also where its node was lost. `on_change` is called
        when the state of a node has changed, after the ends of its workers if it was lost.
        """

    def nodes(self) -> Sequence[NodeView]:
        """Return the nodes that are known, in the order of their names."""
        ...

    def view(self, node: NodeName) -> NodeView | None:
        """Return one node, `None` where it is not known."""
        ...

    @property
    def workers(self) -> int:
        """Workers that all nodes have together, those that are starting included."""
        ...

    def spawn(self, node: NodeName, spec: WorkerSpec) -> None:
        """Start a worker on a node. One that cannot be started is reported as one that ended."""

    def kill(self, worker_id: WorkerId, why: str = "") -> None:
        """Kill a worker and what it has started. Unknown ids are ignored."""

    def give_up_worker(self, worker_id: WorkerId, why: str) -> None:
        """Report a worker as ended now, whatever its node does, which is told to kill it. Unknown ids are ignored."""

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        """Return the node of a worker that is starting or alive; `None` for those of this machine."""
        ...

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return its process id on its node, once it is known."""
        ...

    def connection_lost(self, worker_id: WorkerId) -> None:
        """Note that the mailbox of a worker has lost its connection: the worker counts as dead."""

    def drain(self, node: NodeName) -> bool:
        """Start nothing on a node any more; return whether it is known. It is told to leave once it is empty."""
        ...

    def close(self) -> None:
        """Let go of all nodes, which then end their workers."""
