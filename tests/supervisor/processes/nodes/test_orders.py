"""Orders of workers on nodes: each is placed, waits for resources, or goes back with its wish."""

from greenroom.protocol.ids import HERE, NodeName, WorkerId
from greenroom.supervisor.processes.nodes.membership import NodeState
from greenroom.supervisor.processes.nodes.orders import NodeOrders
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from tests.support.loop import on_loop
from tests.support.node_engine import N1, OneNodeEngine

NEW = Wish(cwd="/host/x")
BOX = Wish(cwd="/host/x", needs=(("gpu_box", 1.0),))


class Scene:
    """Orders over one node with one `gpu_box`, beside a host that takes one conversation."""

    def __init__(self, capacity: int = 4) -> None:
        self.engine = OneNodeEngine(capacity)
        self.again: list[tuple[WorkerRequest, Wish]] = []
        self.boxes = 1.0
        self._count = 0
        self.orders = NodeOrders(
            self.engine,
            0,
            1,
            lambda _: None,
            lambda node: {"gpu_box": self.boxes} if node == N1 else {},
            self._enrol,
            lambda order, wish: self.again.append((order, wish)),
        )

    def _enrol(self, node: NodeName, count: int) -> None:
        for _ in range(count):
            self._count += 1
            worker_id = WorkerId(f"w-{self._count}")
            self.engine.living.append(worker_id)
            self.orders.supply.expect(node, worker_id)

    def becomes(self, state: NodeState = "ready") -> None:
        self.engine.state = state
        self.orders.changed(N1)


def order() -> tuple[list[WorkerId], WorkerRequest]:
    got: list[WorkerId] = []
    return got, got.append


@on_loop
async def test_the_host_comes_first_and_a_node_once_it_is_full() -> None:
    scene = Scene(capacity=1)
    got, first = order()
    assert not scene.orders.place(first, NEW, 1), "there is no node yet"
    scene.becomes()
    assert not scene.orders.place(first, ON_HOST, 1)
    assert not scene.orders.place(first, NEW, 0)
    assert scene.orders.place(first, NEW, 1)
    assert scene.orders.supply.ready(WorkerId("w-1"))
    assert got == ["w-1"]
    assert scene.orders.choose(NEW, 1) == HERE, "the node is full"


@on_loop
async def test_resources_pass_from_an_order_to_its_worker_and_from_there_to_the_next_order() -> None:
    scene = Scene()
    scene.becomes()
    (_, first), (second_got, second) = order(), order()
    assert scene.orders.place(first, BOX, 0)
    assert scene.orders.place(second, BOX, 0)
    assert scene.orders.waiting == [BOX.needs]
    assert scene.orders.supply.ready(WorkerId("w-1"))
    scene.orders.place_waiting()
    assert scene.orders.waiting == [BOX.needs], "the worker has what its order had"
    scene.orders.ended(WorkerId("w-1"))
    assert scene.orders.waiting == []
    assert scene.orders.supply.ready(WorkerId("w-2"))
    assert second_got == ["w-2"]


@on_loop
async def test_an_order_that_is_withdrawn_leaves_its_resources_to_the_next() -> None:
    scene = Scene()
    scene.becomes()
    (_, first), (_, second), (_, third) = order(), order(), order()
    for each in (first, second, third):
        assert scene.orders.place(each, BOX, 0)
    scene.orders.withdraw(second)
    assert scene.orders.waiting == [BOX.needs]
    scene.orders.withdraw(first)
    scene.orders.place_waiting()
    assert scene.orders.waiting == []


@on_loop
async def test_resources_that_a_node_gets_go_to_what_waits_for_them() -> None:
    scene = Scene()
    scene.boxes = 0.0
    scene.becomes()
    assert not scene.orders.has(N1, BOX.needs)
    assert scene.orders.place(order()[1], BOX, 0), "the host has none, so it waits"
    scene.boxes = 1.0
    scene.becomes()
    assert scene.orders.waiting == []
    assert scene.orders.has(N1, BOX.needs)


@on_loop
async def test_an_order_whose_node_goes_comes_back_with_its_wish_and_frees_what_it_had() -> None:
    scene = Scene()
    scene.becomes()
    _, first = order()
    assert scene.orders.place(first, BOX, 0)
    scene.becomes("lost")
    assert scene.again == [(first, BOX)]
    scene.becomes()
    assert scene.orders.place(order()[1], BOX, 0)
    assert scene.orders.waiting == []


@on_loop
async def test_nothing_is_placed_on_nodes_that_are_left_to_another_host() -> None:
    scene = Scene()
    scene.becomes()
    (_, first), (_, second), (_, third) = order(), order(), order()
    assert scene.orders.place(first, NEW, 1)
    scene.orders.retreat()
    assert scene.again == [(first, NEW)]
    assert not scene.orders.place(second, NEW, 1)
    assert scene.orders.place(third, BOX, 1)
    scene.becomes()
    assert scene.orders.waiting == [BOX.needs]
