"""What a host has for its nodes, together: where workers are ordered, what goes with a conversation, and leaving."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from greenroom.config.tables.nodes import NodesTable, NodeTable
from greenroom.protocol.errors import StartError
from greenroom.protocol.ids import ConversationId, Incarnation, NodeName, WorkerId
from greenroom.protocol.internal.process import Exited, WorkerSpec
from greenroom.sessions.storage.file import session_path
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.endpoints import InstanceEndpoints, key_pair
from greenroom.supervisor.processes.nodes import hub as module
from greenroom.supervisor.processes.nodes.engine import NodeView
from greenroom.supervisor.processes.nodes.hub import LISTEN_AGAIN, NodeHub
from greenroom.supervisor.processes.nodes.membership import NodeState
from greenroom.supervisor.processes.nodes.record_keeper import RecordOpening
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Opening, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter
from tests.support.virtual_time import in_virtual_time

N1, N2 = NodeName("n1"), NodeName("n2")
NEW = Wish(cwd="/host/x")
LISTEN = "tcp://127.0.0.1:7700"


class PlayedEngine:
    """Implements `NodeEngine` with nodes of which a test says how they stand."""

    def __init__(self, *_: Any) -> None:
        self.states: dict[NodeName, tuple[NodeState, int]] = {}
        self.specs: dict[WorkerId, NodeName] = {}
        self.spawned: list[WorkerSpec] = []
        self.killed: list[WorkerId] = []
        self.busy_addresses = 0
        self.listens = 0
        self.is_closed = False
        self.looks = 0
        self.report: Callable[[Exited], None] = lambda _: None
        self.tell: Callable[[NodeName], None] = lambda _: None

    def listen(self) -> None:
        if self.busy_addresses:
            self.busy_addresses -= 1
            raise StartError("the address is taken")
        self.listens += 1

    def start(self, on_exit: Callable[[Exited], None], on_change: Callable[[NodeName], None]) -> None:
        self.report, self.tell = on_exit, on_change

    def nodes(self) -> Sequence[NodeView]:
        self.looks += 1
        return [self.view(name) for name in sorted(self.states)]

    def view(self, node: NodeName) -> NodeView:
        state, capacity = self.states[node]
        return NodeView(node, state, capacity, sum(of == node for of in self.specs.values()))

    @property
    def workers(self) -> int:
        return len(self.specs)

    def spawn(self, node: NodeName, spec: WorkerSpec) -> None:
        self.specs[spec.id] = node
        self.spawned.append(spec)

    def kill(self, worker_id: WorkerId, why: str = "") -> None:
        self.killed.append(worker_id)

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        return self.specs.get(worker_id)

    def connection_lost(self, worker_id: WorkerId) -> None: ...

    def give_up_worker(self, worker_id: WorkerId, why: str) -> None: ...

    def drain(self, node: NodeName) -> bool:
        return node in self.states

    def close(self) -> None:
        self.is_closed = True


class PlayedKeeper:
    """Stands for the keeper of records, which writes at once, unless its disk does not answer."""

    def __init__(self, *_: Any) -> None:
        self.stuck: list[Callable[[], None]] | None = None
        self.expected: dict[WorkerId, RecordOpening] = {}
        self.is_closed = False

    def receive(self, worker_id: WorkerId, frames: list[bytes]) -> None:
        raise NotImplementedError

    def expect(self, worker_id: WorkerId, opening: RecordOpening) -> None:
        self.expected[worker_id] = opening

    def release(self, worker_id: WorkerId, then: Callable[[], None]) -> None:
        self.expected.pop(worker_id, None)
        if self.stuck is None:
            then()
        else:
            self.stuck.append(then)

    async def close(self, within: float) -> None:
        self.is_closed = True


class Scene:
    """A hub over played nodes; a router and endpoints that do nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path, **table: Any) -> None:
        monkeypatch.setattr(module, "JoinEngine", PlayedEngine)
        monkeypatch.setattr(module, "RecordKeeper", PlayedKeeper)
        self.mail = 0
        self.left: list[str] = []
        self.admitted: list[WorkerId] = []
        endpoints = SimpleNamespace(
            context=None, authenticator=None, keys=key_pair(), broker_keys=key_pair(), directory="/run"
        )
        self.hub = NodeHub(
            ServerOptions(codex_home=str(home), engine="fork"),
            NodesTable(**{"listen": LISTEN, "idle_workers": 0, "host_capacity": 1, **table}),
            cast("InstanceEndpoints", endpoints),
            cast("WorkerRouter", self),
            self.admitted.extend,
        )
        self.engine = cast("PlayedEngine", self.hub.engine)
        self.records = cast("PlayedKeeper", self.hub._records)
        self.again: list[Wish] = []
        self.changed: list[NodeName] = []
        self.ended: list[WorkerId] = []
        self.got: list[WorkerId] = []
        self.order: WorkerRequest = self.got.append
        self.shut_out: list[WorkerId] = []
        self.hub.start(
            self.shut_out.append,
            lambda exited: self.ended.append(exited.id),
            lambda _, wish: self.again.append(wish),
            self.changed.append,
        )

    def listen_for_nodes(self, address: str, on_lost: object, on_records: object) -> None:
        self.mail += 1

    def reply(self, worker_id: WorkerId, frames: list[bytes]) -> bool:
        raise NotImplementedError

    def catch_up(self) -> None:
        raise NotImplementedError

    def leave_nodes(self, address: str) -> None:
        self.left.append(address)

    def becomes(self, node: NodeName, state: NodeState = "ready", capacity: int = 1) -> None:
        self.engine.states[node] = state, capacity
        self.engine.tell(node)

    def host_worker(self, wish: Wish = NEW, node: NodeName = N1) -> WorkerId:
        """Give a conversation to a node, and let its worker get ready; return the worker."""
        assert self.hub.place(self.order, wish, busy_here=1)
        worker_id = next(one for one, of in self.engine.specs.items() if of == node and one not in self.got)
        assert self.hub.supply.ready(worker_id)
        assert self.got[-1] == worker_id
        return worker_id

    def ends(self, worker_id: WorkerId) -> None:
        del self.engine.specs[worker_id]
        exited = Exited(id=worker_id, pid=1, returncode=-9, max_rss=0)
        self.hub.supply.lost(exited)
        self.engine.report(exited)


@in_virtual_time
async def test_it_listens_for_nodes_last_and_goes_on_where_an_address_was_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(monkeypatch, tmp_path)
    scene.engine.busy_addresses = 1
    with pytest.raises(StartError):
        scene.hub.listen()
    assert (scene.mail, scene.engine.listens) == (1, 0)
    scene.engine.busy_addresses = 3
    scene.hub.listen_when_free()
    await asyncio.sleep(2.5 * LISTEN_AGAIN)
    assert scene.engine.listens == 0
    await asyncio.sleep(LISTEN_AGAIN)
    assert scene.engine.listens == 1
    assert scene.mail == 1, "what it has is not asked for again"
    await scene.hub.close(1.0)
    assert scene.engine.is_closed
    assert scene.records.is_closed


@in_virtual_time
async def test_a_worker_is_ordered_where_there_is_room_and_let_in_before_it_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(monkeypatch, tmp_path)
    assert not scene.hub.place(scene.order, NEW, busy_here=1), "there are no nodes"
    scene.becomes(N1)
    assert scene.changed == [N1]
    assert not scene.hub.place(scene.order, ON_HOST, busy_here=1)
    assert not scene.hub.place(scene.order, NEW, busy_here=0), "the host comes first"
    worker_id = scene.host_worker()
    assert scene.admitted == [worker_id]
    (spec,) = scene.engine.spawned
    assert spec.mailbox_address == "tcp://127.0.0.1:7701"
    assert (spec.codex_home, spec.events_path, spec.greets_broker) == ("", "", True)
    assert not scene.hub.place(scene.order, NEW, busy_here=1), "the node is full, so the host takes it"
    assert scene.hub.can_go_elsewhere(Wish(cwd=str(tmp_path)), busy_here=1)
    assert not scene.hub.can_go_elsewhere(Wish(cwd=str(tmp_path / "gone")), busy_here=1)
    scene.ends(worker_id)
    assert scene.ended == [worker_id]
    assert scene.hub.can_go_elsewhere(Wish(cwd=str(tmp_path / "gone")), busy_here=1), "a node may have it"
    await scene.hub.close(1.0)


@in_virtual_time
async def test_a_worker_that_is_given_up_is_shut_out_before_the_disk_has_its_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(monkeypatch, tmp_path)
    scene.becomes(N1)
    worker_id = scene.host_worker()
    scene.records.stuck = []
    scene.ends(worker_id)
    assert (scene.shut_out, scene.ended) == ([worker_id], [])
    scene.records.stuck[0]()
    assert scene.ended == [worker_id]
    await scene.hub.close(1.0)


@in_virtual_time
async def test_an_order_goes_elsewhere_with_its_wish_when_its_node_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(monkeypatch, tmp_path)
    scene.becomes(N1)
    assert scene.hub.place(scene.order, NEW, busy_here=1)
    scene.becomes(N1, "away")
    assert scene.again == [NEW]
    scene.becomes(N1)
    assert scene.hub.place(scene.order, NEW, busy_here=1)
    scene.hub.withdraw(scene.order)
    scene.becomes(N1, "lost")
    assert scene.again == [NEW], "one that was withdrawn goes nowhere"
    await scene.hub.close(1.0)


@pytest.mark.parametrize(
    ("waits", "states", "only_here", "room"),
    [
        (False, {N1: ("ready", 3)}, 0, None),
        (True, {}, 0, 2),
        (True, {N1: ("ready", 3), N2: ("ready", 4)}, 0, 9),
        (True, {N1: ("ready", 3), N2: ("draining", 4)}, 0, 5),
        (True, {N1: ("ready", 3)}, 1, 5),
        (True, {N1: ("ready", 3)}, 4, 7),
    ],
)
def test_the_room_follows_the_nodes_that_are_ready(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    waits: bool,
    states: dict[NodeName, tuple[NodeState, int]],
    only_here: int,
    room: int | None,
) -> None:
    @in_virtual_time
    async def play() -> None:
        scene = Scene(monkeypatch, tmp_path, wait_for_nodes=waits, host_capacity=2)
        for node, (state, capacity) in states.items():
            scene.becomes(node, state, capacity)
        assert scene.hub.room(only_here) == room
        looks = scene.engine.looks
        assert scene.hub.room(only_here) == room
        assert scene.engine.looks == looks, "nothing has changed since"
        if room is not None and states:
            scene.becomes(N1, "lost")
            assert scene.hub.room(only_here) == room - 3
        await scene.hub.close(1.0)

    play()


@in_virtual_time
async def test_resources_are_waited_for_and_refused_where_no_node_can_have_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    box = Wish(cwd="/host/x", needs=(("gpu_box", 1.0),))
    scene = Scene(monkeypatch, tmp_path, named={N1: NodeTable(resources={"gpu_box": 1.0})})
    assert scene.hub.refusal(box) == "no node has gpu_box=1"
    assert scene.hub.refusal(NEW) is None
    scene.becomes(N1, capacity=4)
    assert scene.hub.refusal(box) is None
    assert "has to run on the host" in (scene.hub.refusal(Wish(only_here=True, needs=box.needs)) or "")
    first = scene.host_worker(box)
    second: list[WorkerId] = []
    order = second.append
    assert scene.hub.place(order, box, busy_here=0), "the host has none, so it waits"
    assert len(scene.engine.spawned) == 1
    assert "no node with gpu_box=1 is free" in (scene.hub.lacking(box) or "")
    scene.ends(first)
    assert len(scene.engine.spawned) == 2
    assert scene.hub.supply.ready(scene.engine.spawned[-1].id)
    assert second == [scene.engine.spawned[-1].id]
    third: WorkerRequest = lambda _: None  # noqa: E731
    assert scene.hub.place(third, box, busy_here=0)
    scene.hub.withdraw(third)
    scene.ends(second[0])
    assert len(scene.engine.spawned) == 2, "one that was withdrawn waits no more"
    await scene.hub.close(1.0)


@in_virtual_time
async def test_a_worker_on_a_node_is_told_of_the_home_and_its_records_are_expected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text('model = "m"\n')
    scene = Scene(monkeypatch, tmp_path, named={N1: NodeTable(paths={"/host": "/node"})})
    scene.becomes(N1)
    worker_id, opening = scene.host_worker(), Opening("no", None, "/host/x")
    conversation = ConversationId("c-1")
    assert scene.hub.opening(WorkerId("w-here"), conversation, Incarnation(1), opening) is None
    told = scene.hub.opening(worker_id, conversation, Incarnation(3), opening)
    assert told is not None
    parts = json.loads(told)
    assert (parts["node"], parts["cwd"], parts["paths"]) == ("n1", "/host/x", {"/host": "/node"})
    assert parts["files"]["config.toml"] == 'model = "m"\n'
    expected = scene.records.expected[worker_id]
    assert (expected.conversation_id, expected.incarnation) == (conversation, 3)
    assert parts["session_path"] == session_path(str(tmp_path), conversation, expected.started)
    assert expected.opening == opening
    await scene.hub.close(1.0)


@in_virtual_time
async def test_nodes_are_left_once_they_have_no_worker_and_nothing_is_placed_there_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(monkeypatch, tmp_path)
    scene.hub.listen()
    scene.becomes(N1, capacity=4)
    worker_id = scene.host_worker()
    assert scene.hub.place(scene.order, NEW, busy_here=1)
    over: list[bool] = []
    scene.hub.retreat(lambda: over.append(scene.engine.is_closed))
    assert scene.again == [NEW]
    assert not scene.hub.place(scene.order, NEW, busy_here=1)
    assert scene.hub.views()
    assert scene.hub.workers == 2
    starting = next(one for one in scene.engine.specs if one != worker_id)
    scene.ends(starting)
    await asyncio.sleep(1)
    assert not over
    scene.ends(worker_id)
    assert not scene.hub.views(), "they are the other host's from now on"
    assert scene.hub.workers == 0
    await asyncio.sleep(1)
    assert over == [False], "nodes look for the other host last"
    assert scene.left == [scene.hub.mailbox_address]
    assert scene.engine.is_closed
    assert scene.records.is_closed
    await scene.hub.close(1.0)


@in_virtual_time
async def test_a_node_is_drained_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scene = Scene(monkeypatch, tmp_path)
    scene.becomes(N1)
    assert scene.hub.drain("n1")
    assert not scene.hub.drain("n9")
    assert not scene.hub.is_draining("n1")
    scene.becomes(N1, "draining")
    assert scene.hub.is_draining("n1")
    await scene.hub.close(1.0)
