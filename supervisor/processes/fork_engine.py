"""The engine of a machine where fork is safe: a nursery process forks what is asked for.

The death of the nursery ends no worker: they come to us as orphans (the supervisor is a subreaper) and are watched from
here, while another nursery takes over what is asked for from then on.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import assert_never

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    AnyBirth,
    Born,
    BrokerBirth,
    Exited,
    ForkServerMeasured,
    GiveBirth,
    MeasureForkServer,
    NurseryReady,
    datagram,
    read_datagram,
)
from greenroom.runtime import child
from greenroom.runtime.launch import DATAGRAM, Launched
from greenroom.runtime.orphans import OrphanTracker, end_all_children, kill_group, kill_orphans, terminate
from greenroom.supervisor.processes.engine import NURSERY_ID, EngineStatistics, OnExit, OnMeasured
from greenroom.supervisor.processes.restart import NURSERY
from greenroom.supervisor.processes.service_state import ServiceState, ServiceStatus

log = logging.getLogger(__name__)

CLOSING_TIME = 1.0
"""Seconds that the nursery has for ending its children before it is killed itself."""
BIRTH_PATIENCE = 20.0
"""Seconds in which a nursery that has orders has to say something before it counts as hung."""
START_PATIENCE = 60.0
"""The same for its first word, which follows its imports."""
ORPHANED = "the process that starts others died"
GIVEN_UP = f"the process that starts others died too often; it is tried again in {NURSERY.period:.0f} s"


class ForkEngine:
    """Our side of the nursery."""

    def __init__(self, first: Launched, launch: Callable[[], Launched]) -> None:
        self._nursery = first
        self._launch = launch
        self._life = ServiceState(NURSERY)
        self._pids: dict[WorkerId, int] = {}
        self._testators: set[WorkerId] = set()
        self._heirs = OrphanTracker()
        self._outbox: deque[AnyBirth] = deque()
        self._unborn: dict[WorkerId, None] = {}
        self._born = self._exited = 0
        self._gone = asyncio.Event()
        self._adopted: set[WorkerId] = set()
        self._overdue: asyncio.TimerHandle | None = None
        self._closing = False
        self._has_spoken = False
        self._on_exit: OnExit = lambda _: None
        self._on_ready: Callable[[], None] = lambda: None
        self._on_measured: OnMeasured = lambda _: None

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        self._on_exit, self._on_ready = on_exit, on_ready
        self._attend()

    def give_birth(self, birth: AnyBirth) -> None:
        if self._life.state == "given_up":
            asyncio.get_running_loop().call_soon(self._report, stillborn(birth, GIVEN_UP))
            return
        if isinstance(birth, BrokerBirth):
            self._testators.add(birth.id)
        self._unborn[birth.id] = None
        self._outbox.append(birth)
        self._say()
        if self._overdue is None:
            self._expect_a_word()

    def kill(self, worker_id: WorkerId) -> None:
        pid = self._pids.get(worker_id)
        if pid is not None:
            kill_group(pid)

    def terminate(self, worker_id: WorkerId) -> None:
        pid = self._pids.get(worker_id)
        if pid is not None:
            terminate(pid)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return self._pids.get(worker_id)

    @property
    def nursery(self) -> ServiceStatus:
        return self._life.standing(self._nursery.pid, asyncio.get_running_loop().time())

    def measure_nursery(self, on_measured: OnMeasured) -> bool:
        if self._gone.is_set() or self._nursery.control.fileno() < 0:
            return False
        try:
            self._nursery.control.send(datagram(MeasureForkServer()))
        except OSError:  # its channel is full, or it is about to be found dead
            return False
        self._on_measured = on_measured
        return True

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._born, self._exited, len(self._pids))

    async def close(self) -> None:
        """Hang up: the nursery then ends its children and leaves; what it left behind is ended here."""
        self._closing = True
        self._hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_TIME):
                await self._gone.wait()
        if not self._gone.is_set():
            os.kill(self._nursery.pid, signal.SIGKILL)
            await self._gone.wait()
        end_all_children()

    def _attend(self) -> None:
        self._gone.clear()
        self._has_spoken = False
        self._nursery.control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._nursery.control, self._listen)
        child.watch(self._nursery.pid, self._nursery_ended)
        self._say()
        self._expect_a_word()

    def _expect_a_word(self) -> None:
        """Give the nursery its time anew, as long as it has orders to carry out."""
        if self._overdue is not None:
            self._overdue.cancel()
        waiting = bool(self._unborn) and not self._gone.is_set() and not self._closing
        patience = BIRTH_PATIENCE if self._has_spoken else START_PATIENCE
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(patience, self._end_hung, patience) if waiting else None

    def _end_hung(self, patience: float) -> None:
        self._overdue = None
        if not self._gone.is_set():
            log.error("the nursery hangs: no word for %.0f s while births are due; killing it", patience)
            kill_group(self._nursery.pid)

    def _say(self) -> None:
        if self._nursery.control.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        while self._outbox:
            try:
                self._nursery.control.send(datagram(GiveBirth(birth=self._outbox[0])))
            except BlockingIOError:
                loop.add_writer(self._nursery.control, self._say)
                return
            except OSError:  # it has died: its successor will be told
                return
            self._outbox.popleft()
        loop.remove_writer(self._nursery.control)

    def _listen(self) -> None:
        while self._nursery.control.fileno() >= 0:
            try:
                data = self._nursery.control.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self._hear(data)
            else:
                self._hang_up()

    def _hear(self, data: bytes) -> None:
        message = read_datagram(data)
        self._has_spoken = True
        match message:
            case Born():
                self._unborn.pop(message.id, None)
                self._pids[message.id] = message.pid
                if message.id in self._testators:
                    self._heirs.expect(message.pid)
                self._born += 1
            case Exited():
                self._report(message)
            case NurseryReady():
                self._life.came_up()
                self._on_ready()
            case ForkServerMeasured():
                self._on_measured(message.footprint)
            case GiveBirth() | MeasureForkServer():
                log.error("the nursery says what only it is told: %r; ignored", message.wire)
            case _:
                assert_never(message)
        self._expect_a_word()

    def _report(self, exited: Exited) -> None:
        self._unborn.pop(exited.id, None)
        if self._pids.pop(exited.id, None) is not None:
            self._exited += 1
        self._on_exit(exited)

    def _hang_up(self) -> None:
        if self._nursery.control.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._nursery.control)
            loop.remove_writer(self._nursery.control)
            self._nursery.control.close()

    def _nursery_ended(self, ending: child.Ending) -> None:
        self._listen()
        self._hang_up()
        self._gone.set()
        self._life.died()
        self._expect_a_word()
        if self._closing:
            return
        log.error("the nursery died (%d); its children live on", ending.returncode)
        self._on_exit(exited_of(NURSERY_ID, ending))
        self._adopt(ending)
        self._replace()

    def _adopt(self, ending: child.Ending) -> None:
        """Watch the orphans ourselves, and report as ended what was never born."""
        for worker_id, pid in list(self._pids.items()):
            if worker_id in self._adopted:
                continue
            self._adopted.add(worker_id)
            orphan_ended = partial(self._orphan_ended, worker_id)
            try:
                child.watch(pid, orphan_ended)
            except ChildProcessError:  # the nursery had reaped it, and died before it could say so
                orphan_ended(child.Ending(pid, -signal.SIGKILL, 0))
        told = {birth.id for birth in self._outbox}
        for worker_id in [one for one in self._unborn if one not in told]:
            del self._unborn[worker_id]
            self._report(Exited(id=worker_id, pid=0, returncode=ending.returncode, max_rss=0, stillborn=ORPHANED))
        self._bury_strangers()  # among them who was born and never announced

    def _orphan_ended(self, worker_id: WorkerId, ending: child.Ending) -> None:
        self._adopted.discard(worker_id)
        self._report(exited_of(worker_id, ending))
        self._bury_strangers()

    def _bury_strangers(self) -> None:
        if not self._closing:  # else all children are ended together, and nothing is to be ended after that
            reap_orphans({self._nursery.pid, *self._pids.values()}, self._heirs, self._bury_strangers)

    def _replace(self) -> None:
        loop = asyncio.get_running_loop()
        delay = self._life.delay(loop.time())
        if delay is None:
            log.critical("the nursery died too often; no conversation can start for %.0f s", NURSERY.period)
            for birth in self._outbox:
                self._report(stillborn(birth, GIVEN_UP))
            self._outbox.clear()
            delay = NURSERY.period
        loop.call_later(delay, self._succeed)

    def _succeed(self) -> None:
        if not self._closing:
            self._nursery = self._launch()
            self._life.started()
            self._attend()


def exited_of(worker_id: WorkerId, ending: child.Ending) -> Exited:
    """Say whose ending it was."""
    return Exited(id=worker_id, pid=ending.pid, returncode=ending.returncode, max_rss=ending.max_rss)


def stillborn(birth: AnyBirth, why: str) -> Exited:
    """Report a process that could not be started as one that ended."""
    return Exited(id=birth.id, pid=0, returncode=1, max_rss=0, stillborn=why)


def reap_orphans(ours: set[int], heirs: OrphanTracker, on_end: Callable[[], None]) -> None:
    """Kill what a dead process has left to us, but for heirs, and reap it.

    `on_end` is called as each of them ends, heirs included: what they leave comes to us in turn.
    """
    heirs.prune()
    for pid in (*kill_orphans(ours, heirs), *heirs.newcomers()):
        with contextlib.suppress(ChildProcessError):
            child.watch(pid, lambda _: on_end())
