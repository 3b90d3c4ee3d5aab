"""What it costs a host to place a conversation, by the number of its nodes: `python -m benchmarks.placement`.

Prints a table: the time in which a supervisor orders a worker of the node with the most room and notes that it is ready
and has ended; and that of one look whether the keys of all nodes are still known.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Final

from greenroom.protocol.ids import HERE, NodeName, WorkerId
from greenroom.protocol.internal.process import Exited, WorkerSpec
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.engine import NodeView, OnNodeChange, OnWorkerExit
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from greenroom.supervisor.processes.nodes.placement import Candidate, choose
from greenroom.supervisor.processes.nodes.supply import NodeSupply
from greenroom.supervisor.processes.nodes.wish import Wish

NODES: Final = (10, 100, 1000)
PLACEMENTS: Final = 2000
LOOKS: Final = 20
CAPACITY: Final = 150


class StandingEngine:
    """Implements `greenroom.supervisor.processes.nodes.engine.NodeEngine`: its nodes are ready and start nothing."""

    workers = 0

    def __init__(self, count: int) -> None:
        self.names = [NodeName(f"node-{number:04d}") for number in range(count)]

    def start(self, on_exit: OnWorkerExit, on_change: OnNodeChange) -> None: ...

    def nodes(self) -> Sequence[NodeView]:
        return [self.view(name) for name in self.names]

    def view(self, node: NodeName) -> NodeView:
        return NodeView(node, "ready", CAPACITY, 0)

    def spawn(self, node: NodeName, spec: WorkerSpec) -> None: ...

    def kill(self, worker_id: WorkerId, why: str = "") -> None: ...

    def node_of(self, worker_id: WorkerId) -> NodeName | None: ...

    def pid_of(self, worker_id: WorkerId) -> int | None: ...

    def connection_lost(self, worker_id: WorkerId) -> None: ...

    def give_up_worker(self, worker_id: WorkerId, why: str) -> None: ...

    def drain(self, node: NodeName) -> bool:
        return node in self.names

    def close(self) -> None: ...


async def placement_us(count: int) -> float:
    """Return the microseconds of one placement, from the choice to the end of the worker."""
    engine = StandingEngine(count)
    started: list[WorkerId] = []
    number = 0

    def enrol(node: NodeName, missing: int) -> None:
        nonlocal number
        for _ in range(missing):
            number += 1
            started.append(WorkerId(f"w-{number}"))
            supply.expect(node, started[-1])

    supply = NodeSupply(engine, 0, enrol, lambda _: None)
    for name in engine.names:
        supply.changed(name)
    host, wish = Candidate(HERE, 0, 0), Wish(cwd="/projects/x")
    before = time.process_time()
    for _ in range(PLACEMENTS):
        supply.take(choose(wish, host, supply.ranking, lambda _: None), lambda _: None)
        supply.ready(started[-1])
        if len(started) > 20:
            supply.lost(Exited(id=started.pop(0), pid=1, returncode=0, max_rss=0))
    spent = time.process_time() - before
    supply.close()
    return spent / PLACEMENTS * 1e6


def keys_us(count: int) -> float:
    """Return the microseconds of one look at the keys of so many nodes."""
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700)
        keys = NodeKeys(home)
        public = key_pair().public
        with keys._changing() as known:  # noqa: SLF001 - a thousand writes would take minutes
            known.nodes.update({f"node-{number:04d}": public for number in range(count)})
        before = time.process_time()
        for _ in range(LOOKS):
            keys.known()
        return (time.process_time() - before) / LOOKS * 1e6


def main() -> None:
    """Measure and print."""
    print("| Nodes | Placement of a conversation | Look at the keys of all |\n|---|---|---|")
    for count in NODES:
        print(f"| {count:,} | {asyncio.run(placement_us(count)):.0f} µs | {keys_us(count):.0f} µs |", flush=True)


if __name__ == "__main__":
    main()
