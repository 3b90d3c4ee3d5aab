"""The workers of nodes without a conversation: each order gets one, or goes elsewhere, whatever its node does."""

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.supervisor.processes.nodes.membership import NodeState
from greenroom.supervisor.processes.nodes.supply import NodeSupply
from greenroom.supervisor.processes.pool import WorkerRequest
from tests.support.loop import on_loop
from tests.support.node_engine import N1, OneNodeEngine


class Scene:
    """A supply whose workers are numbered."""

    def __init__(self, idle_workers: int = 1, capacity: int = 4) -> None:
        self.engine = OneNodeEngine(capacity)
        self.displaced: list[WorkerRequest] = []
        self.got: list[WorkerId] = []
        self._count = 0
        self.supply = NodeSupply(self.engine, idle_workers, self._enrol, self.displaced.append)
        self.supply.changed(N1)

    def _enrol(self, node: NodeName, count: int) -> None:
        for _ in range(count):
            self._count += 1
            worker_id = WorkerId(f"w-{self._count}")
            self.engine.living.append(worker_id)
            self.supply.expect(node, worker_id)

    def ready(self, number: int) -> None:
        assert self.supply.ready(WorkerId(f"w-{number}"))

    def ends(self, number: int) -> bool | None:
        worker_id = WorkerId(f"w-{number}")
        self.engine.living.remove(worker_id)
        return self.supply.lost(Exited(id=worker_id, pid=1, returncode=-9, max_rss=0))

    def becomes(self, state: NodeState) -> None:
        self.engine.state = state
        self.supply.changed(N1)


@on_loop
async def test_an_order_gets_the_waiting_worker_or_the_next() -> None:
    scene = Scene()
    scene.ready(1)
    assert scene.supply.waiting == (WorkerId("w-1"),)
    scene.supply.take(N1, scene.got.append)
    assert scene.got == ["w-1"]
    second: list[WorkerId] = []
    scene.supply.take(N1, second.append)
    scene.ready(2)
    assert second == ["w-2"]
    (candidate,) = scene.supply.ranking.all()
    assert candidate.busy == 2
    scene.supply.close()


@on_loop
async def test_no_more_are_started_than_the_node_takes() -> None:
    scene = Scene(idle_workers=3, capacity=2)
    assert len(scene.engine.living) == 2
    scene.supply.close()


@on_loop
async def test_orders_of_a_node_that_goes_away_go_elsewhere_once() -> None:
    scene = Scene()
    order = scene.got.append
    scene.supply.take(N1, order)
    scene.becomes("away")
    assert scene.displaced == [order]
    scene.ready(1)
    assert (scene.got, scene.engine.killed) == ([], ["w-1"]), "and nobody waits for the worker"
    scene.becomes("lost")
    assert scene.displaced == [order]
    scene.supply.close()


@on_loop
async def test_an_order_that_is_withdrawn_gets_nothing() -> None:
    scene = Scene(idle_workers=0)
    order = scene.got.append
    scene.supply.take(N1, order)
    scene.supply.withdraw(order)
    scene.ready(1)
    assert (scene.got, scene.displaced, scene.engine.killed) == ([], [], ["w-1"])
    scene.supply.close()


@on_loop
async def test_a_draining_or_left_node_ends_those_that_wait() -> None:
    for leaves_host in (False, True):
        scene = Scene(idle_workers=2)
        scene.ready(1)
        if leaves_host:
            scene.supply.retreat()
        else:
            scene.becomes("draining")
        scene.ready(2)
        assert scene.engine.killed == ["w-1", "w-2"]
        assert scene.ends(1) is True
        assert len(scene.engine.living) == 1, "nothing is started in its place"
        scene.supply.close()


@on_loop
async def test_workers_that_die_as_they_start_make_their_node_unfit_for_a_while() -> None:
    scene = Scene(idle_workers=1)
    order = scene.got.append
    scene.supply.take(N1, order)
    number = 0
    while not scene.displaced:
        number += 1
        assert number < 50
        if f"w-{number}" not in scene.engine.living:
            scene._enrol(N1, 1)
        assert scene.ends(number) is True
    assert scene.displaced == [order]
    (candidate,) = scene.supply.ranking.all()
    assert not candidate.takes_workers
    assert scene.supply.lost(Exited(id=WorkerId("w-unknown"), pid=1, returncode=0, max_rss=0)) is None
    scene.supply.close()
