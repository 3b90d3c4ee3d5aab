"""The engine of a machine where fork is safe: a fork server process forks what is asked for.

The death of the fork server ends no worker: they come to us as orphans (the supervisor is a subreaper) and are
watched from
here, while another fork server takes over what is asked for from then on.
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
    AnyProcessSpec,
    BrokerSpec,
    Exited,
    ForkServerMeasured,
    ForkServerReady,
    MeasureForkServer,
    Spawn,
    Spawned,
    datagram,
    read_datagram,
)
from greenroom.runtime import child
from greenroom.runtime.launch import DATAGRAM, Launched
from greenroom.runtime.orphans import OrphanTracker, end_all_children, kill_group, kill_orphans, terminate
from greenroom.supervisor.processes.engine import FORK_SERVER_ID, EngineStatistics, OnExit, OnMeasured
from greenroom.supervisor.processes.restart import FORK_SERVER
from greenroom.supervisor.processes.service_state import ServiceState, ServiceStatus

log = logging.getLogger(__name__)

CLOSING_TIME = 1.0
"""Seconds that the fork server has for ending its children before it is killed itself."""
SPAWN_TIMEOUT = 20.0
"""Seconds in which a fork server that has orders has to say something before it counts as hung."""
START_TIMEOUT = 60.0
"""The same for its first word, which follows its imports."""
ORPHANED = "the process that starts others died"
GIVEN_UP = f"the process that starts others died too often; it is tried again in {FORK_SERVER.period:.0f} s"


class ForkEngine:
    """Our side of the fork server."""

    def __init__(self, first: Launched, launch: Callable[[], Launched]) -> None:
        self._fork_server = first
        self._launch = launch
        self._life = ServiceState(FORK_SERVER)
        self._pids: dict[WorkerId, int] = {}
        self._testators: set[WorkerId] = set()
        self._heirs = OrphanTracker()
        self._outbox: deque[AnyProcessSpec] = deque()
        self._pending: dict[WorkerId, None] = {}
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

    def spawn(self, spec: AnyProcessSpec) -> None:
        if self._life.state == "given_up":
            asyncio.get_running_loop().call_soon(self._report, start_error(spec, GIVEN_UP))
            return
        if isinstance(spec, BrokerSpec):
            self._testators.add(spec.id)
        self._pending[spec.id] = None
        self._outbox.append(spec)
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
    def fork_server(self) -> ServiceStatus:
        return self._life.standing(self._fork_server.pid, asyncio.get_running_loop().time())

    def measure_fork_server(self, on_measured: OnMeasured) -> bool:
        if self._gone.is_set() or self._fork_server.control.fileno() < 0:
            return False
        try:
            self._fork_server.control.send(datagram(MeasureForkServer()))
        except OSError:  # its channel is full, or it is about to be found dead
            return False
        self._on_measured = on_measured
        return True

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._born, self._exited, len(self._pids))

    async def close(self) -> None:
        """Hang up: the fork server then ends its children and leaves; what it left behind is ended here."""
        self._closing = True
        self._hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_TIME):
                await self._gone.wait()
        if not self._gone.is_set():
            os.kill(self._fork_server.pid, signal.SIGKILL)
            await self._gone.wait()
        end_all_children()

    def _attend(self) -> None:
        self._gone.clear()
        self._has_spoken = False
        self._fork_server.control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._fork_server.control, self._listen)
        child.watch(self._fork_server.pid, self._fork_server_ended)
        self._say()
        self._expect_a_word()

    def _expect_a_word(self) -> None:
        """Give the fork server its time anew, as long as it has orders to carry out."""
        if self._overdue is not None:
            self._overdue.cancel()
        waiting = bool(self._pending) and not self._gone.is_set() and not self._closing
        timeout_s = SPAWN_TIMEOUT if self._has_spoken else START_TIMEOUT
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(timeout_s, self._end_hung, timeout_s) if waiting else None

    def _end_hung(self, timeout_s: float) -> None:
        self._overdue = None
        if not self._gone.is_set():
            log.error("the fork server hangs: no word for %.0f s while births are due; killing it", timeout_s)
            kill_group(self._fork_server.pid)

    def _say(self) -> None:
        if self._fork_server.control.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        while self._outbox:
            try:
                self._fork_server.control.send(datagram(Spawn(spec=self._outbox[0])))
            except BlockingIOError:
                loop.add_writer(self._fork_server.control, self._say)
                return
            except OSError:  # it has died: its successor will be told
                return
            self._outbox.popleft()
        loop.remove_writer(self._fork_server.control)

    def _listen(self) -> None:
        while self._fork_server.control.fileno() >= 0:
            try:
                data = self._fork_server.control.recv(DATAGRAM)
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
            case Spawned():
                self._pending.pop(message.id, None)
                self._pids[message.id] = message.pid
                if message.id in self._testators:
                    self._heirs.expect(message.pid)
                self._born += 1
            case Exited():
                self._report(message)
            case ForkServerReady():
                self._life.came_up()
                self._on_ready()
            case ForkServerMeasured():
                self._on_measured(message.footprint)
            case Spawn() | MeasureForkServer():
                log.error("the fork server says what only it is told: %r; ignored", message.wire)
            case _:
                assert_never(message)
        self._expect_a_word()

    def _report(self, exited: Exited) -> None:
        self._pending.pop(exited.id, None)
        if self._pids.pop(exited.id, None) is not None:
            self._exited += 1
        self._on_exit(exited)

    def _hang_up(self) -> None:
        if self._fork_server.control.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fork_server.control)
            loop.remove_writer(self._fork_server.control)
            self._fork_server.control.close()

    def _fork_server_ended(self, ending: child.Ending) -> None:
        self._listen()
        self._hang_up()
        self._gone.set()
        self._life.died()
        self._expect_a_word()
        if self._closing:
            return
        log.error("the fork server died (%d); its children live on", ending.returncode)
        self._on_exit(exited_of(FORK_SERVER_ID, ending))
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
            except ChildProcessError:  # the fork server had reaped it, and died before it could say so
                orphan_ended(child.Ending(pid, -signal.SIGKILL, 0))
        told = {spec.id for spec in self._outbox}
        for worker_id in [one for one in self._pending if one not in told]:
            del self._pending[worker_id]
            self._report(Exited(id=worker_id, pid=0, returncode=ending.returncode, max_rss=0, start_error=ORPHANED))
        self._bury_strangers()  # among them who was born and never announced

    def _orphan_ended(self, worker_id: WorkerId, ending: child.Ending) -> None:
        self._adopted.discard(worker_id)
        self._report(exited_of(worker_id, ending))
        self._bury_strangers()

    def _bury_strangers(self) -> None:
        if not self._closing:  # else all children are ended together, and nothing is to be ended after that
            reap_orphans({self._fork_server.pid, *self._pids.values()}, self._heirs, self._bury_strangers)

    def _replace(self) -> None:
        loop = asyncio.get_running_loop()
        delay = self._life.delay(loop.time())
        if delay is None:
            log.critical("the fork server died too often; no conversation can start for %.0f s", FORK_SERVER.period)
            for spec in self._outbox:
                self._report(start_error(spec, GIVEN_UP))
            self._outbox.clear()
            delay = FORK_SERVER.period
        loop.call_later(delay, self._succeed)

    def _succeed(self) -> None:
        if not self._closing:
            self._fork_server = self._launch()
            self._life.started()
            self._attend()


def exited_of(worker_id: WorkerId, ending: child.Ending) -> Exited:
    """Say whose ending it was."""
    return Exited(id=worker_id, pid=ending.pid, returncode=ending.returncode, max_rss=ending.max_rss)


def start_error(spec: AnyProcessSpec, why: str) -> Exited:
    """Report a process that could not be started as one that ended."""
    return Exited(id=spec.id, pid=0, returncode=1, max_rss=0, start_error=why)


def reap_orphans(ours: set[int], heirs: OrphanTracker, on_end: Callable[[], None]) -> None:
    """Kill what a dead process has left to us, but for heirs, and reap it.

    `on_end` is called as each of them ends, heirs included: what they leave comes to us in turn.
    """
    heirs.prune()
    for pid in (*kill_orphans(ours, heirs), *heirs.newcomers()):
        with contextlib.suppress(ChildProcessError):
            child.watch(pid, lambda _: on_end())
