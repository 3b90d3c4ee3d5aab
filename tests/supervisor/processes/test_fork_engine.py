"""The engine over a nursery: each end of a process is told once, also of those whose nursery has died."""

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
    Born,
    Exited,
    ForkServerMeasured,
    GiveBirth,
    KeyPair,
    MeasureForkServer,
    NurseryReady,
    WorkerBirth,
    datagram,
    read_datagram,
)
from greenroom.runtime.launch import DATAGRAM, Launched
from greenroom.runtime.orphans import children as all_children
from greenroom.supervisor.processes import restart
from greenroom.supervisor.processes.engine import NURSERY_ID
from greenroom.supervisor.processes.fork_engine import ForkEngine
from greenroom.supervisor.processes.service_state import ServiceStatus
from tests.support.loop import on_loop, until

KEYS = KeyPair(public="p", secret="s")
NO_PID = 2**22 + 1
"""Beyond the largest process id of Linux."""


def birth(name: str) -> WorkerBirth:
    return WorkerBirth(
        id=WorkerId(name),
        keys=KEYS,
        supervisor_pid=os.getpid(),
        codex_home="/",
        runtime_directory="/",
        log_level="warning",
        mailbox_address="a",
        mailbox_key="k",
        broker_address="b",
        broker_key="k",
    )


class PlayedNursery:
    """A process that does nothing, and the nursery's end of its channel, which the test speaks on."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        self.launched = Launched(self.process.pid, ours)

    def say(self, message: Born | Exited | ForkServerMeasured | NurseryReady) -> None:
        self.channel.send(datagram(message))

    def orders(self) -> list[WorkerId]:
        """Return whom the engine has asked for since the last look."""
        found: list[WorkerId] = []
        with suppress(BlockingIOError):
            while data := self.channel.recv(DATAGRAM):
                message = read_datagram(data)
                assert isinstance(message, GiveBirth)
                found.append(message.birth.id)
        return found

    async def ordered(self, *names: str) -> None:
        """Wait until exactly these have been asked for."""
        found: list[WorkerId] = []

        def complete() -> bool:
            found.extend(self.orders())
            return len(found) >= len(names)

        await until(complete)
        assert found == list(names)

    def hung_up(self) -> bool:
        try:
            return self.channel.recv(DATAGRAM) == b""
        except BlockingIOError:
            return False

    def die(self) -> None:
        self.channel.close()
        self.process.kill()


class House:
    """An engine, the nurseries that it has launched, and the ends that it has told of."""

    def __init__(self) -> None:
        self.nurseries = [PlayedNursery()]
        self.ends: list[Exited] = []
        """Of workers; those of nurseries are beside them."""
        self.nursery_ends: list[Exited] = []
        self.times_ready = 0
        self.children: list[subprocess.Popen[bytes]] = []
        self.engine = ForkEngine(self.nurseries[0].launched, self._launch)

    def note_ready(self) -> None:
        self.times_ready += 1

    def _launch(self) -> Launched:
        self.nurseries.append(PlayedNursery())
        return self.nurseries[-1].launched

    def child(self) -> subprocess.Popen[bytes]:
        """Start a process that stands for a worker. It is ours, as an orphan of a nursery would be."""
        self.children.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        return self.children[-1]

    def take_end(self, exited: Exited) -> None:
        (self.nursery_ends if exited.id == NURSERY_ID else self.ends).append(exited)

    def ended(self) -> list[tuple[str, int]]:
        return [(exited.id, exited.returncode) for exited in self.ends]

    def pids(self) -> list[int]:
        """Return the children that are the engine's: this process has others, which are strangers to it."""
        processes = (*self.children, *(nursery.process for nursery in self.nurseries))
        return sorted({process.pid for process in processes}.intersection(all_children()))

    def clear(self) -> None:
        for process in (*self.children, *(nursery.process for nursery in self.nurseries)):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.returncode = 0  # the engine may have reaped it
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    built = House()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.runtime.orphans.children", built.pids)
        try:
            await built.engine.start(built.take_end, built.note_ready)
            yield built
        finally:
            for nursery in built.nurseries:
                nursery.die()
            await built.engine.close()
            built.clear()


@on_loop
async def test_what_is_asked_for_is_born_and_its_end_is_told_once() -> None:
    async with house() as built:
        (nursery,) = built.nurseries
        for name in ("a", "b"):
            built.engine.give_birth(birth(name))
        await nursery.ordered("a", "b")
        worker = built.child()
        nursery.say(NurseryReady(pid=1))
        nursery.say(Born(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")) == worker.pid)
        assert built.engine.pid_of(WorkerId("b")) is None
        assert built.times_ready == 1
        assert built.engine.statistics().alive == 1
        nursery.say(Exited(id=WorkerId("a"), pid=worker.pid, returncode=-9, max_rss=5))
        await until(lambda: built.ends)
        assert built.ended() == [("a", -9)]
        assert built.engine.pid_of(WorkerId("a")) is None
        statistics = built.engine.statistics()
        assert (statistics.born, statistics.exited, statistics.alive) == (1, 1, 0)


@on_loop
async def test_killing_ends_the_process_and_unknown_ones_are_ignored() -> None:
    async with house() as built:
        worker = built.child()
        built.nurseries[0].say(Born(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.engine.kill(WorkerId("nobody"))
        built.engine.kill(WorkerId("a"))
        assert os.waitpid(worker.pid, 0)[1] == signal.SIGKILL


@on_loop
async def test_what_was_ordered_of_a_nursery_that_died_is_told_as_ended_or_ordered_again() -> None:
    async with house() as built:
        first = built.nurseries[0]
        built.engine.give_birth(birth("told"))
        await first.ordered("told")
        first.die()
        await until(lambda: len(built.nurseries) == 2)
        assert built.ended() == [("told", -signal.SIGKILL)]
        assert built.ends[0].stillborn is not None
        assert [(one.pid, one.returncode) for one in built.nursery_ends] == [(first.process.pid, -signal.SIGKILL)]
        built.engine.give_birth(birth("next"))
        await built.nurseries[1].ordered("next")


@on_loop
async def test_the_workers_of_a_nursery_that_died_live_on_and_their_end_is_told() -> None:
    async with house() as built:
        worker = built.child()
        built.nurseries[0].say(Born(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.nurseries[0].die()
        await until(lambda: len(built.nurseries) == 2)
        assert built.engine.pid_of(WorkerId("a")) == worker.pid
        assert built.ends == []
        built.engine.kill(WorkerId("a"))
        await until(lambda: built.ends)
        assert built.ended() == [("a", -signal.SIGKILL)]


@on_loop
async def test_what_the_nursery_said_last_is_heard() -> None:
    async with house() as built:
        nursery, worker = built.nurseries[0], built.child()
        nursery.say(Born(id=WorkerId("a"), pid=worker.pid))
        nursery.say(Exited(id=WorkerId("a"), pid=worker.pid, returncode=3, max_rss=0))
        nursery.die()
        await until(lambda: len(built.nurseries) == 2)
        assert built.ended() == [("a", 3)]


@on_loop
async def test_a_worker_that_was_gone_before_its_nursery_is_told_as_ended() -> None:
    async with house() as built:
        nursery, other = built.nurseries[0], built.child()
        nursery.say(Born(id=WorkerId("gone"), pid=NO_PID))
        nursery.say(Born(id=WorkerId("other"), pid=other.pid))
        await until(lambda: built.engine.pid_of(WorkerId("other")))
        nursery.die()
        await until(lambda: len(built.nurseries) == 2, within=2.0)
        assert [name for name, _ in built.ended()] == ["gone"]
        built.engine.kill(WorkerId("other"))
        await until(lambda: len(built.ends) == 2)


@on_loop
async def test_a_nursery_that_dies_again_and_again_is_given_up_for_a_while() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restart, "NURSERY", restart.Intensity(2, 60.0, (0.0,)))
        patch.setattr("greenroom.supervisor.processes.fork_engine.NURSERY", restart.NURSERY)
        async with house() as built:
            for _ in range(2):
                former = built.nurseries[-1]
                former.die()
                await until(lambda former=former: built.nurseries[-1] is not former)  # type: ignore[misc]
            built.nurseries[-1].die()
            await until(lambda: built.engine.nursery == ServiceStatus("given_up", None, 3))
            built.engine.give_birth(birth("late"))
            await until(lambda: built.ended() == [("late", 1)])
            assert len(built.nurseries) == 3


@on_loop
async def test_it_says_how_the_nursery_stands_and_what_it_holds() -> None:
    async with house() as built:
        (nursery,) = built.nurseries
        assert built.engine.nursery == ServiceStatus("starting", nursery.process.pid, 0)
        nursery.say(NurseryReady(pid=nursery.process.pid))
        await until(lambda: built.engine.nursery.state == "ready")
        heard: list[Footprint] = []
        assert built.engine.measure_nursery(heard.append)
        assert isinstance(read_datagram(nursery.channel.recv(DATAGRAM)), MeasureForkServer)
        nursery.say(ForkServerMeasured(footprint=Footprint(uss=1, pss=2, descriptors=3)))
        await until(lambda: heard)
        assert heard == [Footprint(uss=1, pss=2, descriptors=3)]
        nursery.die()
        await until(lambda: len(built.nurseries) == 2)
        assert built.engine.nursery == ServiceStatus("starting", built.nurseries[1].process.pid, 1)


@on_loop
async def test_what_could_not_be_born_is_told_once_also_when_the_nursery_dies_later() -> None:
    async with house() as built:
        nursery = built.nurseries[0]
        built.engine.give_birth(birth("a"))
        await nursery.ordered("a")
        nursery.say(Exited(id=WorkerId("a"), pid=0, returncode=1, max_rss=0, stillborn="no memory"))
        await until(lambda: built.ends)
        nursery.die()
        await until(lambda: len(built.nurseries) == 2)
        assert built.ended() == [("a", 1)]


@on_loop
async def test_a_nursery_that_hangs_with_orders_is_ended_and_one_without_is_left_alone() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.supervisor.processes.fork_engine.BIRTH_PATIENCE", 0.05)
        async with house() as built:
            first, worker = built.nurseries[0], built.child()
            built.engine.give_birth(birth("a"))
            first.say(Born(id=WorkerId("a"), pid=worker.pid))
            await until(lambda: built.engine.pid_of(WorkerId("a")))
            await asyncio.sleep(0.1)
            assert not built.nursery_ends, "it owes us nothing"
            built.engine.give_birth(birth("b"))
            await until(lambda: len(built.nurseries) == 2)
            assert built.nursery_ends[0].returncode == -signal.SIGKILL
            assert built.ended() == [("b", -signal.SIGKILL)]


@on_loop
async def test_closing_hangs_up_and_waits_for_the_nursery() -> None:
    async with house() as built:
        (nursery,) = built.nurseries
        closing = asyncio.create_task(built.engine.close())
        await until(nursery.hung_up)
        assert not closing.done()
        nursery.process.kill()
        await closing
        assert len(built.nurseries) == 1, "nobody succeeds it"


@on_loop
async def test_nobody_is_killed_after_the_end() -> None:
    """What an orphan leaves when it ends with all the others is told late, and the process may be anybody's by then."""
    async with house() as built:
        worker = built.child()
        built.engine.give_birth(birth("a"))
        built.nurseries[0].say(Born(id=WorkerId("a"), pid=worker.pid))
        await until(lambda: built.engine.pid_of(WorkerId("a")))
        built.nurseries[0].process.kill()
        await until(lambda: built.nursery_ends)
        built.nurseries[-1].die()
        await built.engine.close()
        bystander = built.child()
        await until(lambda: built.ended() == [("a", -signal.SIGKILL)])
        assert bystander.poll() is None


@on_loop
async def test_a_nursery_that_does_not_leave_is_killed() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.supervisor.processes.fork_engine.CLOSING_TIME", 0.05)
        async with house() as built:
            await built.engine.close()
            assert built.nurseries[0].process.poll() is not None or not os.path.exists(
                f"/proc/{built.nurseries[0].process.pid}"
            )
