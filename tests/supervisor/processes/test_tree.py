"""Which processes the tree starts, when, and what it does about an auth broker that dies again and again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.ids import NodeName, TurnId, WorkerId
from greenroom.protocol.internal.broker.broadcasts import Broadcast, LoginComplete
from greenroom.protocol.internal.process import AnyProcessSpec, BrokerSpec, Exited, WorkerSpec
from greenroom.protocol.internal.worker.notices import HelperLost
from greenroom.runtime.process.oom import OomKills
from greenroom.runtime.restart import Intensity
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes import broker_process, exit_causes, worker_supply
from greenroom.supervisor.processes.broker_client import BrokerError
from greenroom.supervisor.processes.broker_process import BROKER_ID
from greenroom.supervisor.processes.engines.engine import EngineStatistics, OnExit, OnMeasured
from greenroom.supervisor.processes.restart import BROKER
from greenroom.supervisor.processes.service_state import ServiceStatus
from greenroom.supervisor.processes.tree import ProcessTree
from greenroom.workers.event_stream import EventStream
from tests.support.loop import on_loop, until
from tests.support.workplace import Listener


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process of the tests neither hide nor adopt orphans, as that of a server does."""
    for name in ("make_undumpable", "adopt_orphans"):
        monkeypatch.setattr(f"greenroom.runtime.process.hardening.{name}", lambda: None)


class StubEngine:
    """Starts nothing, and remembers what it was asked to."""

    def __init__(self) -> None:
        self.specs: list[AnyProcessSpec] = []
        self.brokers: asyncio.Queue[BrokerSpec] = asyncio.Queue()
        self.workers: asyncio.Queue[WorkerSpec] = asyncio.Queue()
        self._exits = 0

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        self.on_exit = on_exit

    def spawn(self, spec: AnyProcessSpec) -> None:
        self.specs.append(spec)
        if isinstance(spec, BrokerSpec):
            self.brokers.put_nowait(spec)
        else:
            self.workers.put_nowait(spec)

    def end_broker(self) -> None:
        self.on_exit(Exited(id=BROKER_ID, pid=4711, returncode=-9, max_rss=0))

    def came_up(self, worker_id: WorkerId) -> None:
        pass

    def kill(self, worker_id: WorkerId) -> None:
        pass

    def terminate(self, worker_id: WorkerId) -> None:
        pass

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return None

    @property
    def fork_server(self) -> ServiceStatus | None:
        return None

    @property
    def zygote(self) -> ServiceStatus | None:
        return None

    def prepare(self, runtime_directory: str) -> None:
        pass

    def measure_fork_server(self, on_measured: OnMeasured) -> bool:
        return False

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(len(self.specs), 0, 0)

    async def close(self, within_s: float) -> None:
        pass


def hosted(options: ServerOptions, engine: StubEngine) -> ConversationHost:
    return ConversationHost(ProcessTree(options, engine, {}, {}), options, {})


@on_loop
async def test_a_broker_that_dies_too_often_is_given_up_and_everybody_is_told_so() -> None:
    """K27: with the same keys and addresses for each, and a clear error once there will be no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_process, "BROKER", Intensity(BROKER.deaths, BROKER.period, delays=(0.0,)))
        engine = StubEngine()
        host = hosted(ServerOptions("/nowhere", "fork", idle_workers=0), engine)
        tree = host.tree
    try:
        await tree.start(host)
        first = await engine.brokers.get()
        for _ in range(BROKER.deaths):
            engine.end_broker()
            following = await engine.brokers.get()
            assert (following.keys, following.address, following.supervisor_key) == (
                first.keys,
                first.address,
                first.supervisor_key,
            )
        asked = asyncio.create_task(tree.broker.logout())
        await asyncio.sleep(0)
        engine.end_broker()
        assert tree.broker_status.state == "given_up"
        with pytest.raises(BrokerError, match="auth broker"):
            await asked
        with pytest.raises(BrokerError, match="auth broker unavailable"):
            await tree.broker.login_start()
        assert (await tree.broker.status(include_token=True, refresh=True)).token is None
        assert engine.brokers.empty()
    finally:
        await tree.close()


@asynccontextmanager
async def one_taken(delay: float) -> AsyncIterator[tuple[StubEngine, ProcessTree, WorkerSpec]]:
    """Yield a tree whose only worker was taken, and that worker's spec; `delay`: when it is replaced at the latest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_supply, "REPLENISH_DELAY", delay)
        engine = StubEngine()
        host = hosted(ServerOptions("/nowhere", "fork", idle_workers=1), engine)
        taken: list[WorkerId] = []
        try:
            await host.tree.start(host)
            first = await engine.workers.get()
            host.tree.workers.pool.ready(first.id)
            host.tree.workers.take(taken.append)
            assert taken == [first.id]
            yield engine, host.tree, first
        finally:
            await host.tree.close()


@on_loop
async def test_the_next_worker_is_started_when_the_one_that_was_taken_has_begun_a_turn() -> None:
    async with one_taken(60.0) as (engine, tree, first):
        stream = EventStream(first)
        stream.send(stream.frame(b"{}", 0))
        await until(lambda: tree.event_streams.statistics().frames == 1)
        assert engine.workers.empty(), "it has opened its conversation, and asks no model yet"
        stream.begin_turn(TurnId("turn"))
        stream.send(stream.frame(b"{}", 0))
        await engine.workers.get()
        stream.send(stream.frame(b"{}", 0))
        await until(lambda: tree.event_streams.statistics().frames == 3)
        assert engine.workers.empty(), "it is replaced once"
        stream.close()


@on_loop
async def test_the_next_worker_is_started_at_once_where_a_conversation_waits() -> None:
    async with one_taken(60.0) as (engine, tree, _):
        assert engine.workers.empty()
        met: list[WorkerId] = []
        tree.workers.take(met.append)
        assert engine.workers.qsize() == 2, "one for who waits, and one to wait itself"
        second, _ = await engine.workers.get(), await engine.workers.get()
        tree.workers.pool.ready(second.id)
        assert met == [second.id]


@on_loop
async def test_the_broker_is_told_at_once_of_all_workers_that_a_burst_of_calls_starts() -> None:
    async with one_taken(60.0) as (engine, tree, _):
        told: list[set[WorkerId]] = []

        async def attach(keys: Mapping[WorkerId, str], *, on_node: bool = False) -> None:
            told.append({*keys})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tree.broker, "attach", attach)
            for _ in range(5):
                tree.workers.take(lambda _: None)
            await until(lambda: told)
            tree.workers.take(lambda _: None)
            await until(lambda: len(told) == 2)
        started = [engine.workers.get_nowait().id for _ in range(engine.workers.qsize())]
        assert told == [{*started[:-1]}, {started[-1]}]


@on_loop
async def test_the_next_worker_is_started_soon_where_no_turn_begins() -> None:
    async with one_taken(0.0) as (engine, _, first):
        assert (await engine.workers.get()).id != first.id


@on_loop
async def test_memory_is_given_back_when_the_last_conversation_has_left_its_process() -> None:
    given_back: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        engine = StubEngine()
        host = hosted(ServerOptions("/nowhere", "fork", idle_workers=0), engine)
        tree = host.tree
        patch.setattr("greenroom.runtime.process.malloc.trim", lambda: given_back.append(len(engine.specs)))
        try:
            await tree.start(host)
            for _ in range(2):
                host.conversations.submit(host.conversations.open(b"{}"), b"[]", Listener())
            workers = [await engine.workers.get() for _ in range(2)]
            for worker in workers:
                tree.workers.pool.ready(worker.id)
            engine.on_exit(Exited(id=workers[0].id, pid=4711, returncode=0, max_rss=0))
            assert given_back == []
            host.conversations.abort_all("it is over")
            engine.on_exit(Exited(id=workers[1].id, pid=4712, returncode=0, max_rss=0))
            assert len(given_back) == 1
        finally:
            await tree.close()


@on_loop
async def test_what_the_broker_tells_before_anybody_listens_is_kept() -> None:
    host = hosted(ServerOptions("/nowhere", "fork", idle_workers=0), StubEngine())
    tree = host.tree
    first, second = (LoginComplete(login_id=name, success=True) for name in ("first", "second"))
    heard: list[Broadcast] = []
    try:
        await tree.start(host)
        tree._broker_told(first)
        tree.broadcasts.subscribe(heard.append)
        assert heard == [first]
        tree._broker_told(second)
        assert heard == [first, second]
        others: list[Broadcast] = []
        tree.broadcasts.subscribe(others.append)
        tree.broadcasts.unsubscribe(heard.append)
        tree._broker_told(first)
        assert (heard, others) == ([first, second], [first]), "each subscriber hears what comes while it listens"
    finally:
        await tree.close()


@on_loop
async def test_a_death_for_want_of_memory_is_told_from_another_by_the_same_signal(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 0\n")
    engine = StubEngine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_process, "BROKER", Intensity(BROKER.deaths, BROKER.period, delays=(0.0,)))
        patch.setattr(exit_causes, "OomKills", lambda: OomKills(str(counter)))
        host = hosted(ServerOptions("/nowhere", "fork", idle_workers=0), engine)
        tree = host.tree
    try:
        await tree.start(host)
        for count in (0, 1, 1):
            await engine.brokers.get()
            counter.write_text(f"oom_kill {count}\n")
            engine.end_broker()
        assert [death.cause for death in tree.exit_history] == [
            "signal 9 (SIGKILL)",
            "out of memory: killed by the kernel (signal 9, SIGKILL)",
            "signal 9 (SIGKILL)",
        ]
    finally:
        await tree.close()


@on_loop
async def test_a_process_that_a_worker_on_a_node_has_lost_is_none_of_this_machine() -> None:
    """Its pid says nothing here: neither whose last words are told, nor why a zygote of this machine has died."""
    lost = HelperLost(role="zygote", pid=4711, is_shared=False, returncode=-9, max_rss=0)
    with pytest.MonkeyPatch.context() as patch:
        host = hosted(ServerOptions("/nowhere", "fork", idle_workers=0), StubEngine())
        tree = host.tree
        await tree.start(host)
        patch.setattr(tree.workers, "node_of", lambda _: NodeName("n1"))
        patch.setattr(tree.exit_history, "_last_words", lambda pid: [f"of process {pid} here"])
        shared = msgspec.structs.replace(lost, is_shared=True, cause="it hangs")
        for notice in (lost, shared):
            tree._helper_lost(WorkerId("w"), notice)
        (death,) = tree.exit_history
        assert (death.pid, death.node, death.log_lines) == (4711, "n1", ())
        zygote = Exited(id=WorkerId("zygote"), pid=4711, returncode=-9, max_rss=0)
        assert tree._exit_causes.of_zygote(zygote) != "it hangs"
        await tree.close()
