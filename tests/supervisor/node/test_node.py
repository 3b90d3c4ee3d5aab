"""A node does what its host orders once, tells every end until it is confirmed, and ends its workers with its lease."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.node import (
    BEAT,
    LEASE,
    PROTOCOL,
    Beat,
    Beaten,
    Confirm,
    Enrolled,
    FromNode,
    Join,
    Joined,
    KillWorker,
    Leave,
    Leaving,
    Refused,
    Rejoin,
    ToNode,
)
from greenroom.protocol.internal.process import Exited, KeyPair, Spawn, Spawned, WorkerSpec
from greenroom.supervisor.node import node as module
from greenroom.supervisor.node.identity import NodeIdentity
from greenroom.supervisor.node.node import LOAD_EVERY, Node
from greenroom.supervisor.processes.engines.engine import Engine
from tests.supervisor.processes.nodes.test_membership import ONE, TWO, spec
from tests.support.virtual_time import in_virtual_time

KEYS = KeyPair(public="p", secret="s")


class PlayedLink:
    """Stands for the link to the host, whose messages a test gives."""

    def __init__(self, *arguments: Any) -> None:
        self.receive: Callable[[ToNode], None] = arguments[4]
        self.up: Callable[[], None] = arguments[5]
        self.refused: Callable[[], None] = arguments[6]
        self.is_up = False
        self.connects = 0
        self.is_closed = False
        self.sent: list[FromNode] = []

    def connect(self) -> None:
        self.connects += 1

    def send(self, message: FromNode) -> bool:
        if self.is_up:
            self.sent.append(message)
        return self.is_up

    def close(self) -> None:
        self.is_closed = True


class PlayedEngine:
    """Starts nothing: a test says which workers have a pid, and which end."""

    fork_server = zygote = None

    def __init__(self) -> None:
        self.specs: list[WorkerSpec] = []
        self.pids: dict[WorkerId, int] = {}
        self.killed: list[WorkerId] = []
        self.exited: Callable[[Exited], None] = lambda _: None
        self.ready: Callable[[], None] = lambda: None
        self.is_closed = False

    async def start(self, on_exit: Callable[[Exited], None], on_ready: Callable[[], None]) -> None:
        self.exited, self.ready = on_exit, on_ready

    def prepare(self, runtime_directory: str) -> None: ...

    def spawn(self, spec: WorkerSpec) -> None:
        self.specs.append(spec)

    def kill(self, worker_id: WorkerId) -> None:
        self.killed.append(worker_id)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return self.pids.get(worker_id)

    async def close(self, within_s: float) -> None:
        self.is_closed = True


class Scene:
    """A node that serves, and its host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "HostLink", PlayedLink)
        self.engine = PlayedEngine()
        identity = NodeIdentity("n1", "h", KEYS, ticket="")
        self.node = Node(
            identity,
            cast("Engine", self.engine),
            "tcp://10.0.0.1:8800",
            "/state",
            "/run",
            4,
            "info",
            "none",
        )
        self.link = cast("PlayedLink", self.node._link)
        self.serving = asyncio.get_running_loop().create_task(self.node.serve())

    async def join(self) -> Join:
        """Let the link come up, and the host let the node in; return what the node has said."""
        await asyncio.sleep(0)
        self.engine.ready()
        self.link.is_up = True
        self.link.up()
        said = self.link.sent[-1]
        assert isinstance(said, Join)
        self.tell(Joined(name="n1", worker_memory=1 << 30))
        return said

    def tell(self, message: ToNode) -> None:
        self.link.receive(message)

    def order(self, worker_id: WorkerId, pid: int | None = None) -> None:
        self.tell(Spawn(spec=spec(worker_id)))
        if pid is not None:
            self.engine.pids[worker_id] = pid

    def ends(self, worker_id: WorkerId) -> Exited:
        exited = Exited(id=worker_id, pid=self.engine.pids.pop(worker_id, 0), returncode=-9, max_rss=0)
        self.engine.exited(exited)
        return exited

    def said(self, kind: type[FromNode]) -> list[FromNode]:
        return [one for one in self.link.sent if isinstance(one, kind)]

    async def beats(self, seconds: float, *, answered: bool = True) -> None:
        """Let time pass; the host answers each beat, or none."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            before = len(self.said(Beat))
            await asyncio.sleep(BEAT / 2)
            for beat in self.said(Beat)[before:] if answered else ():
                self.tell(Beaten(number=cast("Beat", beat).number))

    async def leave(self) -> None:
        self.node.leave()
        await self.serving
        assert self.link.is_closed
        assert self.engine.is_closed


@in_virtual_time
async def test_it_connects_once_its_fork_server_has_imported_everything_or_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for is_slow in (False, True):
        scene = Scene(monkeypatch)
        await asyncio.sleep(0.1)
        assert scene.link.connects == 0
        if is_slow:
            await asyncio.sleep(module.WARM_UP)
        else:
            scene.engine.ready()
        assert scene.link.connects == 1
        await scene.leave()


@in_virtual_time
async def test_it_says_how_it_stands_and_starts_what_is_ordered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await asyncio.sleep(0)
    scene.order(ONE)
    assert not scene.engine.specs, "it has no lease yet"
    said = await scene.join()
    assert (said.protocol, said.capacity, said.sandbox, said.workers) == (PROTOCOL, 4, "none", {})
    told = msgspec.structs.replace(spec(ONE), mailbox_address="tcp://0.0.0.0:7701", broker_address="tcp://h:7702")
    scene.tell(Spawn(spec=told))
    scene.tell(Spawn(spec=told))
    (started,) = scene.engine.specs
    assert (started.codex_home, started.runtime_directory, started.log_level) == ("/state", "/run", "info")
    assert (started.mailbox_address, started.broker_address) == ("tcp://10.0.0.1:8801", "tcp://10.0.0.1:8802")
    assert started.broadcast_address == "tcp://10.0.0.1:8803"
    scene.engine.pids[ONE] = 7
    await scene.beats(1.0)
    assert scene.said(Spawned) == [Spawned(id=ONE, pid=7)], "told with the next beat, and once"
    await scene.leave()


@in_virtual_time
async def test_an_end_is_told_again_with_each_joining_until_it_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await scene.join()
    scene.order(ONE, pid=7)
    scene.order(TWO, pid=8)
    exited = scene.ends(ONE)
    scene.ends(WorkerId("w-unknown"))
    assert [cast("Exited", one).id for one in scene.said(Exited)] == [exited.id]
    scene.link.up()
    again = scene.said(Join)[-1]
    assert isinstance(again, Join)
    assert ([one.id for one in again.exits], again.workers) == ([ONE], {TWO: 8})
    scene.ends(TWO)
    assert len(scene.said(Exited)) == 1, "not before it is in again"
    scene.tell(Joined(name="n1", worker_memory=1 << 30))
    assert [cast("Exited", one).id for one in scene.said(Exited)] == [ONE, ONE, TWO]
    scene.tell(Confirm(id=ONE))
    scene.tell(Confirm(id=TWO))
    scene.link.up()
    assert scene.said(Join)[-1].exits == ()  # type: ignore[union-attr]
    await scene.leave()


@in_virtual_time
async def test_a_kill_waits_for_the_pid_and_its_reason_goes_with_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await scene.join()
    scene.order(ONE)
    scene.tell(KillWorker(id=ONE, why="it hangs"))
    scene.tell(KillWorker(id=TWO, why="nobody knows it"))
    assert scene.engine.killed == []
    scene.engine.pids[ONE] = 7
    await scene.beats(2 * BEAT)
    assert scene.engine.killed == [ONE]
    scene.ends(ONE)
    (told,) = scene.said(Exited)
    assert cast("Exited", told).cause == "it hangs"
    await scene.leave()


@in_virtual_time
async def test_workers_go_on_while_beats_are_answered_and_end_with_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await scene.join()
    scene.order(ONE, pid=7)
    await scene.beats(5 * LEASE)
    assert scene.engine.killed == []
    loads = [cast("Beat", one).load is not None for one in scene.said(Beat)[: 2 * LOAD_EVERY]]
    assert loads == ([True] + [False] * (LOAD_EVERY - 1)) * 2
    await scene.beats(LEASE - 2 * BEAT, answered=False)
    assert scene.engine.killed == []
    await scene.beats(4 * BEAT, answered=False)
    assert scene.engine.killed == [ONE]
    scene.order(TWO)
    assert [one.id for one in scene.engine.specs] == [ONE], "nothing is started without a lease"
    joins = len(scene.said(Join))
    scene.tell(Beaten(number=cast("Beat", scene.said(Beat)[-1]).number))
    assert len(scene.said(Join)) == joins + 1, "the connection has outlived the lease: it joins anew"
    await scene.leave()


@in_virtual_time
async def test_a_node_that_was_given_up_ends_its_workers_and_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await asyncio.sleep(0)
    scene.link.is_up = True
    scene.tell(Rejoin())
    assert not scene.said(Join), "it is not in yet, and says so by itself"
    await scene.join()
    scene.order(ONE, pid=7)
    scene.tell(Rejoin())
    assert scene.engine.killed == [ONE]
    assert len(scene.said(Join)) == 2
    await scene.leave()


@pytest.mark.parametrize(
    ("word", "failure"),
    [
        (Leave(text="it was drained"), None),
        (Refused(text="node n1 has version 1, and this host 2"), "has version 1"),
        (None, "does not know the key of node n1"),
    ],
)
def test_what_ends_it(monkeypatch: pytest.MonkeyPatch, word: ToNode | None, failure: str | None) -> None:
    @in_virtual_time
    async def play() -> None:
        scene = Scene(monkeypatch)
        await scene.join()
        scene.tell(Enrolled())
        await asyncio.sleep(0)
        assert not scene.serving.done()
        if word is None:
            scene.link.refused()
        else:
            scene.tell(word)
        await scene.serving
        assert scene.engine.is_closed
        assert (scene.node.failure is None) == (failure is None)
        assert (failure or "") in (scene.node.failure or "")

    play()


@in_virtual_time
async def test_it_asks_to_be_drained_and_again_over_a_new_link(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    await scene.join()
    scene.node.drain()
    assert len(scene.said(Leaving)) == 1
    scene.link.up()
    scene.tell(Joined(name="n1", worker_memory=1 << 30))
    assert len(scene.said(Leaving)) == 2
    await asyncio.sleep(0)
    assert not scene.serving.done()
    scene.node.drain()
    await scene.serving


@in_virtual_time
async def test_without_a_host_it_ends_at_once_and_with_a_lost_one_after_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    await asyncio.sleep(0)
    scene.node.drain()
    await scene.serving
    scene = Scene(monkeypatch)
    await scene.join()
    assert [scene.node.has_host] == [True]
    scene.node.drain()
    scene.link.is_up = False
    assert [scene.node.has_host] == [False]
    await scene.beats(LEASE + 2 * BEAT, answered=False)
    assert scene.serving.done()
