"""The engine over a fork server: each end of a process is told once, also of those whose fork server has died."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    EndChildren,
    Exited,
    ForkServerMeasured,
    ForkServerReady,
    ForkServerServes,
    KeyPair,
    MeasureForkServer,
    Spawn,
    Spawned,
    WorkerSpec,
    datagram,
    read_datagram,
)
from greenroom.runtime.process.launch import DATAGRAM, Launched
from greenroom.runtime.process.orphans import children as all_children
from greenroom.runtime.restart import Delays
from greenroom.supervisor.processes.engines.engine import FORK_SERVER_ID
from greenroom.supervisor.processes.engines.fork_engine import ForkEngine, ForkTiming
from greenroom.supervisor.processes.service_state import ServiceStatus
from tests.support.loop import on_loop, until

KEYS = KeyPair(public="p", secret="s")
NO_PID = 2**22 + 1
"""Beyond the largest process id of Linux."""


def spec(name: str) -> WorkerSpec:
    return WorkerSpec(
        id=WorkerId(name),
        keys=KEYS,
        supervisor_pid=os.getpid(),
        codex_home="/",
        runtime_directory="/",
        log_level="warning",
        mailbox_address="a",
        mailbox_key="k",
        events_path="p",
        events_ticket=b"t",
        broker_address="b",
        broker_key="k",
    )


class PlayedForkServer:
    """A process that does nothing, and the fork server's end of its channel, which the test speaks on."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        self.launched = Launched(self.process.pid, ours)

    def say(self, message: Spawned | Exited | ForkServerMeasured | ForkServerReady | ForkServerServes) -> None:
        self.channel.send(datagram(message))

    def orders(self) -> list[WorkerId]:
        """Return whom the engine has asked for since the last look."""
        found: list[WorkerId] = []
        with suppress(BlockingIOError):
            while data := self.channel.recv(DATAGRAM):
                message = read_datagram(data)
                assert isinstance(message, Spawn)
                found.append(message.spec.id)
        return found

    async def ordered(self, *names: str) -> None:
        """Wait until exactly these have been asked for."""
        found: list[WorkerId] = []

        def complete() -> bool:
            found.extend(self.orders())
            return len(found) >= len(names)

        await until(complete)
        assert found == list(names)

    def is_dismissed(self) -> bool:
        try:
            return isinstance(read_datagram(self.channel.recv(DATAGRAM)), EndChildren)
        except BlockingIOError:
            return False

    def die(self) -> None:
        self.channel.close()
        self.process.kill()


class House:
    """An engine, the fork servers that it has launched, and the ends that it has told of."""

    def __init__(self, timing: ForkTiming | None) -> None:
        self.fork_servers = [PlayedForkServer()]
        self.ends: list[Exited] = []
        """Of workers; those of fork servers are beside them."""
        self.fork_server_ends: list[Exited] = []
        self.times_ready = 0
        self.children: list[subprocess.Popen[bytes]] = []
        self.spawned: list[PlayedForkServer] = []
        """Processes that the engine has started without a fork server."""
        self.refusal: OSError | None = None
        """Raised in place of starting a process without a fork server."""
        self.engine = ForkEngine(self.fork_servers[0].launched, self._launch, self._spawn, timing)

    def note_ready(self) -> None:
        self.times_ready += 1

    def _launch(self) -> Launched:
        self.fork_servers.append(PlayedForkServer())
        return self.fork_servers[-1].launched

    def _spawn(self) -> Launched:
        if self.refusal is not None:
            raise self.refusal
        self.spawned.append(PlayedForkServer())
        return self.spawned[-1].launched

    async def specs(self) -> list[WorkerId]:
        """Return what each spawned process was told to be."""
        found: list[WorkerId] = []
        for one in self.spawned:
            message = read_datagram(one.channel.recv(DATAGRAM, socket.MSG_PEEK))
            assert isinstance(message, Spawn)
            found.append(message.spec.id)
        return found

    def child(self) -> subprocess.Popen[bytes]:
        """Start a process that stands for a worker. It is a child of the test, as an orphan of a fork server would
        be."""
        self.children.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        return self.children[-1]

    def take_end(self, exited: Exited) -> None:
        (self.fork_server_ends if exited.id == FORK_SERVER_ID else self.ends).append(exited)

    def ended(self) -> list[tuple[str, int]]:
        return [(exited.id, exited.returncode) for exited in self.ends]

    def pids(self) -> list[int]:
        """Return the children that are the engine's: this process has others, which are strangers to it."""
        processes = (*self.children, *(one.process for one in (*self.fork_servers, *self.spawned)))
        return sorted({process.pid for process in processes}.intersection(all_children()))

    def clear(self) -> None:
        for process in (*self.children, *(one.process for one in (*self.fork_servers, *self.spawned))):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.returncode = 0  # the engine may have reaped it
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)


@asynccontextmanager
async def house(timing: ForkTiming | None = None) -> AsyncIterator[House]:
    built = House(timing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.runtime.process.orphans.children", built.pids)
        try:
            await built.engine.start(built.take_end, built.note_ready)
            yield built
        finally:
            for fork_server in built.fork_servers:
                fork_server.die()
            await built.engine.close()
            built.clear()


@on_loop
async def test_what_is_asked_for_is_born_and_its_end_is_told_once() -> None:
    async with house() as built:
        (fork_server,) = built.fork_servers
        for name in ("a", "b"):
            built.engine.spawn(spec(name))
        await fork_server.ordered("a", "b")
        worker = built.child()
        fork_server.say(ForkServerReady(pid=1))
        fork_server.say(Spawned(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")) == worker.pid)
        assert built.engine.pid_of(WorkerId("b")) is None
        assert built.times_ready == 1
        assert built.engine.statistics().alive == 1
        fork_server.say(Exited(id=WorkerId("a"), pid=worker.pid, returncode=-9, max_rss=5))
        await until(lambda: built.ends)
        assert built.ended() == [("a", -9)]
        assert built.engine.pid_of(WorkerId("a")) is None
        statistics = built.engine.statistics()
        assert (statistics.born, statistics.exited, statistics.alive) == (1, 1, 0)


@on_loop
async def test_killing_ends_the_process_and_unknown_ones_are_ignored() -> None:
    async with house() as built:
        worker = built.child()
        built.fork_servers[0].say(Spawned(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.engine.kill(WorkerId("nobody"))
        built.engine.kill(WorkerId("a"))
        assert os.waitpid(worker.pid, 0)[1] == signal.SIGKILL


@on_loop
async def test_what_was_ordered_of_a_fork_server_that_died_is_told_as_ended_or_ordered_again() -> None:
    async with house() as built:
        first = built.fork_servers[0]
        built.engine.spawn(spec("told"))
        await first.ordered("told")
        first.die()
        await until(lambda: len(built.fork_servers) == 2)
        assert built.ended() == [("told", -signal.SIGKILL)]
        assert built.ends[0].start_error is not None
        assert [(one.pid, one.returncode) for one in built.fork_server_ends] == [(first.process.pid, -signal.SIGKILL)]
        built.fork_servers[1].say(ForkServerServes(pid=1))
        await until(lambda: built.engine.fork_server.state == "ready")
        built.engine.spawn(spec("next"))
        await built.fork_servers[1].ordered("next")


@on_loop
async def test_the_workers_of_a_fork_server_that_died_live_on_and_their_end_is_told() -> None:
    async with house() as built:
        worker = built.child()
        built.fork_servers[0].say(Spawned(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.fork_servers[0].die()
        await until(lambda: len(built.fork_servers) == 2)
        assert built.engine.pid_of(WorkerId("a")) == worker.pid
        assert built.ends == []
        built.engine.kill(WorkerId("a"))
        await until(lambda: built.ends)
        assert built.ended() == [("a", -signal.SIGKILL)]


@on_loop
async def test_what_the_fork_server_said_last_is_heard() -> None:
    async with house() as built:
        fork_server, worker = built.fork_servers[0], built.child()
        fork_server.say(Spawned(id=WorkerId("a"), pid=worker.pid))
        fork_server.say(Exited(id=WorkerId("a"), pid=worker.pid, returncode=3, max_rss=0))
        fork_server.die()
        await until(lambda: len(built.fork_servers) == 2)
        assert built.ended() == [("a", 3)]


@on_loop
async def test_a_worker_that_was_gone_before_its_fork_server_is_told_as_ended() -> None:
    async with house() as built:
        fork_server, other = built.fork_servers[0], built.child()
        fork_server.say(Spawned(id=WorkerId("gone"), pid=NO_PID))
        fork_server.say(Spawned(id=WorkerId("other"), pid=other.pid))
        await until(lambda: built.engine.pid_of(WorkerId("other")))
        fork_server.die()
        await until(lambda: len(built.fork_servers) == 2, within=2.0)
        assert [name for name, _ in built.ended()] == ["gone"]
        built.engine.kill(WorkerId("other"))
        await until(lambda: len(built.ends) == 2)


@on_loop
async def test_without_a_fork_server_a_few_at_a_time_are_spawned_and_the_rest_goes_to_the_next_one() -> None:
    async with house(ForkTiming(spawned_at_once=2)) as built:
        built.fork_servers[0].die()
        await until(lambda: len(built.fork_servers) == 2)
        for name in "abcdef":
            built.engine.spawn(spec(name))
        assert await built.specs() == ["a", "b"]
        assert built.engine.pid_of(WorkerId("a")) == built.spawned[0].process.pid
        built.engine.came_up(WorkerId("a"))
        assert await built.specs() == ["a", "b", "c"], "it has become ready, and the next one may begin"
        built.engine.kill(WorkerId("b"))
        await until(lambda: len(built.spawned) == 4)
        assert built.ended() == [("b", -signal.SIGKILL)]
        built.fork_servers[1].say(ForkServerServes(pid=1))
        await built.fork_servers[1].ordered("e", "f")
        assert await built.specs() == ["a", "b", "c", "d"], "nothing is born twice"


@on_loop
async def test_a_fork_server_that_dies_again_and_again_is_replaced_and_what_is_asked_for_is_born_meanwhile() -> None:
    async with house(ForkTiming(restarts=Delays((0.0,), healthy_after=60.0))) as built:
        for number in range(12):
            former = built.fork_servers[-1]
            former.die()
            await until(lambda former=former: built.fork_servers[-1] is not former)  # type: ignore[misc]
            built.engine.spawn(spec(f"w-{number}"))
            await until(lambda number=number: built.engine.pid_of(WorkerId(f"w-{number}")))  # type: ignore[misc]
            built.engine.came_up(WorkerId(f"w-{number}"))
        assert built.engine.fork_server == ServiceStatus("starting", built.fork_servers[-1].process.pid, 12)
        assert built.ends == []


@on_loop
async def test_what_the_system_refuses_to_start_is_tried_again() -> None:
    async with house(ForkTiming(refusals=Delays((0.0,), healthy_after=60.0))) as built:
        built.fork_servers[0].die()
        await until(lambda: len(built.fork_servers) == 2)
        built.refusal = OSError(11, "no more processes")
        built.engine.spawn(spec("a"))
        built.engine.spawn(spec("b"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert (built.spawned, built.ends) == ([], [])
        built.refusal = None
        await until(lambda: len(built.spawned) == 2)
        assert await built.specs() == ["a", "b"]


@on_loop
async def test_it_says_how_the_shared_zygote_stands() -> None:
    async with house() as built:
        (fork_server,) = built.fork_servers
        first, second = built.child(), built.child()
        assert built.engine.zygote == ServiceStatus("starting", None, 0)
        fork_server.say(Spawned(id=WorkerId("zygote-1"), pid=first.pid))
        await until(lambda: built.engine.zygote == ServiceStatus("ready", first.pid, 0))
        fork_server.say(Exited(id=WorkerId("zygote-1"), pid=first.pid, returncode=-9, max_rss=0))
        await until(lambda: built.engine.zygote == ServiceStatus("restarting", None, 1))
        fork_server.say(Spawned(id=WorkerId("zygote-2"), pid=second.pid))
        await until(lambda: built.engine.zygote == ServiceStatus("ready", second.pid, 1))


@on_loop
async def test_it_says_how_the_fork_server_stands_and_what_it_holds() -> None:
    async with house() as built:
        (fork_server,) = built.fork_servers
        assert built.engine.fork_server == ServiceStatus("starting", fork_server.process.pid, 0)
        fork_server.say(ForkServerServes(pid=fork_server.process.pid))
        await until(lambda: built.engine.fork_server.state == "ready")
        heard: list[Footprint] = []
        assert built.engine.measure_fork_server(heard.append)
        assert isinstance(read_datagram(fork_server.channel.recv(DATAGRAM)), MeasureForkServer)
        fork_server.say(ForkServerMeasured(footprint=Footprint(uss=1, pss=2, descriptors=3)))
        await until(lambda: heard)
        assert heard == [Footprint(uss=1, pss=2, descriptors=3)]
        fork_server.die()
        await until(lambda: len(built.fork_servers) == 2)
        assert built.engine.fork_server == ServiceStatus("starting", built.fork_servers[1].process.pid, 1)


@on_loop
async def test_what_could_not_be_born_is_told_once_also_when_the_fork_server_dies_later() -> None:
    async with house() as built:
        fork_server = built.fork_servers[0]
        built.engine.spawn(spec("a"))
        await fork_server.ordered("a")
        fork_server.say(Exited(id=WorkerId("a"), pid=0, returncode=1, max_rss=0, start_error="no memory"))
        await until(lambda: built.ends)
        fork_server.die()
        await until(lambda: len(built.fork_servers) == 2)
        assert built.ended() == [("a", 1)]


@on_loop
async def test_a_fork_server_that_hangs_with_orders_is_ended_and_one_without_is_left_alone() -> None:
    async with house(ForkTiming(answer=0.05)) as built:
        first, worker = built.fork_servers[0], built.child()
        built.engine.spawn(spec("a"))
        first.say(Spawned(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        await asyncio.sleep(0.1)
        assert not built.fork_server_ends, "it owes us nothing"
        built.engine.spawn(spec("b"))
        await until(lambda: len(built.fork_servers) == 2)
        assert built.fork_server_ends[0].returncode == -signal.SIGKILL
        assert built.ended() == [("b", -signal.SIGKILL)]


@on_loop
async def test_closing_dismisses_the_fork_server_and_waits_for_it() -> None:
    async with house() as built:
        (fork_server,) = built.fork_servers
        closing = asyncio.create_task(built.engine.close())
        await until(fork_server.is_dismissed)
        assert not closing.done()
        fork_server.process.kill()
        await closing
        assert len(built.fork_servers) == 1, "nobody succeeds it"


@on_loop
async def test_nobody_is_killed_after_the_end() -> None:
    """What an orphan leaves when it ends with all the others is told late, and the process may be anybody's by then."""
    async with house() as built:
        worker = built.child()
        built.engine.spawn(spec("a"))
        built.fork_servers[0].say(Spawned(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.fork_servers[0].process.kill()
        await until(lambda: built.fork_server_ends)
        built.fork_servers[-1].die()
        await built.engine.close()
        bystander = built.child()
        await until(lambda: built.ended() == [("a", -signal.SIGKILL)])
        assert bystander.poll() is None


@on_loop
async def test_a_fork_server_that_does_not_leave_is_killed() -> None:
    async with house(ForkTiming(closing=0.05)) as built:
        await built.engine.close()
        assert built.fork_servers[0].process.poll() is not None or not os.path.exists(
            f"/proc/{built.fork_servers[0].process.pid}"
        )
