"""The engine of a machine where fork is safe: a fork server process forks what is requested.

The death of the fork server ends no worker: the supervisor is a subreaper, adopts the orphans and watches them. Until
another fork server serves, requested processes are spawned, a few at a time: that is slower and takes more memory.
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

import msgspec

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import (
    AnyProcessSpec,
    BrokerSpec,
    EndChildren,
    Exited,
    ForkServerMeasured,
    ForkServerReady,
    ForkServerServes,
    MeasureForkServer,
    Prepare,
    Spawn,
    Spawned,
    datagram,
    read_datagram,
)
from greenroom.runtime.process import child
from greenroom.runtime.process.launch import DATAGRAM, Launched
from greenroom.runtime.process.orphans import OrphanTracker, end_all_children, kill_group, terminate
from greenroom.runtime.restart import Backoff, Delays
from greenroom.supervisor.processes.engines.direct_child import CLOSING_TIME, exited_of, reap_orphans, start_spawned
from greenroom.supervisor.processes.engines.engine import (
    FORK_SERVER_ID,
    ZYGOTE_PREFIX,
    EngineStatistics,
    OnExit,
    OnMeasured,
)
from greenroom.supervisor.processes.restart import FORK_SERVER, START, ZYGOTE
from greenroom.supervisor.processes.service_state import ServiceState, ServiceStatus

log = logging.getLogger(__name__)

ORPHANED = "the process that starts others died"


class ForkTiming(msgspec.Struct, frozen=True):
    """How long the engine waits, and for what. Times are in seconds."""

    answer: float = 8.0
    """In which a fork server with pending requests has to answer before it counts as hung."""
    first_answer: float = 20.0
    """The same for its first message, which follows its imports."""
    closing: float = CLOSING_TIME
    """In which a fork server has to leave."""
    restarts: Delays = FORK_SERVER
    """Before each further fork server."""
    refusals: Delays = START
    """Before each further attempt to start what the system has refused to start."""
    spawned_at_once: int = max(2, os.cpu_count() or 1)
    """Processes that start at a time without a fork server: each imports everything itself."""


TIMING = ForkTiming()


class ForkEngine:
    """The supervisor's side of the fork server."""

    def __init__(
        self,
        first: Launched,
        launch: Callable[[], Launched],
        spawn: Callable[[], Launched],
        timing: ForkTiming | None = None,
    ) -> None:
        """`timing`: `TIMING` where it is `None`."""
        self._timing = timing or TIMING
        self._fork_server = first
        self._launch = launch
        self._spawn = spawn
        self._life = ServiceState(Backoff(self._timing.restarts))
        self._has_died = False
        """Whether a fork server has died and no other one serves yet."""
        self._refusals = Backoff(self._timing.refusals)
        self._spawned: set[WorkerId] = set()
        """Starting processes that were spawned, not forked."""
        self._retry: asyncio.TimerHandle | None = None
        self._zygote: WorkerId | None = None
        self._zygote_life = ServiceState(Backoff(ZYGOTE))
        self._pids: dict[WorkerId, int] = {}
        self._brokers: set[WorkerId] = set()
        self._orphans = OrphanTracker()
        self._outbox: deque[AnyProcessSpec] = deque()
        self._pending: dict[WorkerId, None] = {}
        self._born = self._exited = 0
        self._gone = asyncio.Event()
        self._adopted: set[WorkerId] = set()
        self._overdue: asyncio.TimerHandle | None = None
        self._closing = False
        self._has_sent = False
        self._on_exit: OnExit = lambda _: None
        self._on_ready: Callable[[], None] = lambda: None
        self._on_measured: OnMeasured = lambda _: None

    async def start(self, on_exit: OnExit, on_ready: Callable[[], None]) -> None:
        self._on_exit, self._on_ready = on_exit, on_ready
        self._follow()

    def prepare(self, runtime_directory: str) -> None:
        with contextlib.suppress(OSError):  # it has died: its successor prepares after the first process
            self._fork_server.control.send(datagram(Prepare(runtime_directory=runtime_directory)))

    def spawn(self, spec: AnyProcessSpec) -> None:
        if isinstance(spec, BrokerSpec):
            self._brokers.add(spec.id)
        self._pending[spec.id] = None
        if self._has_died and isinstance(spec, BrokerSpec):
            self._outbox.appendleft(spec)  # all conversations need it
        else:
            self._outbox.append(spec)
        self._carry_out()
        if self._overdue is None:
            self._expect_message()

    def came_up(self, worker_id: WorkerId) -> None:
        self._spawned.discard(worker_id)
        self._carry_out()

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
        return self._life.status(self._fork_server.pid, asyncio.get_running_loop().time())

    @property
    def zygote(self) -> ServiceStatus:
        pid = None if self._zygote is None else self._pids.get(self._zygote)
        return self._zygote_life.status(pid, asyncio.get_running_loop().time())

    def measure_fork_server(self, on_measured: OnMeasured) -> bool:
        if self._gone.is_set() or self._fork_server.control.fileno() < 0:
            return False
        try:
            self._fork_server.control.send(datagram(MeasureForkServer()))
        except OSError:  # its channel is full, or its death is about to be reported
            return False
        self._on_measured = on_measured
        return True

    def statistics(self) -> EngineStatistics:
        return EngineStatistics(self._born, self._exited, len(self._pids))

    async def close(self, within_s: float = CLOSING_TIME) -> None:
        """Have the fork server end its children and exit; what it left behind is ended here."""
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        self._dismiss()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._timing.closing, within_s)):
                await self._gone.wait()
        if not self._gone.is_set():
            os.kill(self._fork_server.pid, signal.SIGKILL)
            await self._gone.wait()
        end_all_children()

    def _follow(self) -> None:
        self._gone.clear()
        self._has_sent = False
        self._fork_server.control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._fork_server.control, self._listen)
        child.watch(self._fork_server.pid, self._fork_server_ended)
        if not self._has_died:
            self._flush()
        self._expect_message()

    def _expect_message(self) -> None:
        """Restart the timer of the fork server, as long as it has pending requests."""
        if self._overdue is not None:
            self._overdue.cancel()
        waiting = (self._has_died or bool(self._pending)) and not self._gone.is_set() and not self._closing
        timeout_s = self._timing.answer if self._has_sent else self._timing.first_answer
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(timeout_s, self._end_hung, timeout_s) if waiting else None

    def _end_hung(self, timeout_s: float) -> None:
        self._overdue = None
        if not self._gone.is_set():
            log.error(
                "the fork server hangs: no message for %.0f s while processes are to be started; killing it", timeout_s
            )
            kill_group(self._fork_server.pid)

    def _carry_out(self) -> None:
        """Start the pending processes: by the fork server, or without it while none serves."""
        if self._has_died:
            self._spawn_some()
        else:
            self._flush()

    def _spawn_some(self) -> None:
        most = self._timing.spawned_at_once
        while self._outbox and len(self._spawned) < most and self._retry is None and not self._closing:
            loop = asyncio.get_running_loop()
            try:
                pid = start_spawned(self._spawn, self._outbox[0])
            except OSError as error:
                delay = self._refusals.on_death(loop.time())
                log.error("a process cannot be started (%s); trying again in %.1f s", error, delay)
                self._retry = loop.call_later(delay, self._try_again)
                return
            spec = self._outbox.popleft()
            if not isinstance(spec, BrokerSpec):
                self._spawned.add(spec.id)
            self._pending.pop(spec.id, None)
            self._note_start(spec.id, pid)
            self._watch(spec.id, pid)

    def _try_again(self) -> None:
        self._retry = None
        self._carry_out()

    def _note_start(self, worker_id: WorkerId, pid: int) -> None:
        self._pids[worker_id] = pid
        is_zygote = worker_id.startswith(ZYGOTE_PREFIX)
        if is_zygote or worker_id in self._brokers:
            self._orphans.expect(pid)
        if is_zygote:
            self._zygote = worker_id
            if self._zygote_life.state == "restarting":
                self._zygote_life.started()
            self._zygote_life.came_up()
        self._born += 1

    def _flush(self) -> None:
        if self._fork_server.control.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        while self._outbox:
            try:
                self._fork_server.control.send(datagram(Spawn(spec=self._outbox[0])))
            except BlockingIOError:
                loop.add_writer(self._fork_server.control, self._flush)
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
                self._receive(data)
            else:
                self._hang_up()

    def _receive(self, data: bytes) -> None:
        message = read_datagram(data)
        self._has_sent = True
        match message:
            case Spawned():
                self._pending.pop(message.id, None)
                self._note_start(message.id, message.pid)
            case Exited():
                self._report(message)
            case ForkServerServes():
                self._life.came_up()
                if self._has_died:
                    self._has_died = False
                    self._flush()
                    self._on_ready()
            case ForkServerReady():
                self._on_ready()
            case ForkServerMeasured():
                self._on_measured(message.footprint)
            case Spawn() | MeasureForkServer() | Prepare() | EndChildren():
                log.error("the fork server says what only it is told: %r; ignored", message.wire)
            case _:
                assert_never(message)
        self._expect_message()

    def _report(self, exited: Exited) -> None:
        self._pending.pop(exited.id, None)
        self._spawned.discard(exited.id)
        if self._pids.pop(exited.id, None) is not None:
            self._exited += 1
        if exited.id == self._zygote:
            self._zygote_life.died()
            self._zygote_life.delay(asyncio.get_running_loop().time())
            self._zygote = None
        self._on_exit(exited)
        if self._has_died:
            self._spawn_some()

    def _dismiss(self) -> None:
        """Have the fork server exit, over a channel that stays open: closing it would lose what is not read yet."""
        control = self._fork_server.control
        if control.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(control)
            loop.remove_writer(control)
            try:
                control.send(datagram(EndChildren()))
            except OSError:  # its buffer is full: it takes the end of the channel for the supervisor's death
                control.close()

    def _hang_up(self) -> None:
        if self._fork_server.control.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fork_server.control)
            loop.remove_writer(self._fork_server.control)
            self._fork_server.control.close()

    def _fork_server_ended(self, ending: child.ChildExit) -> None:
        if not self._closing:
            self._listen()
        self._hang_up()
        self._gone.set()
        self._life.died()
        self._has_died = True
        self._expect_message()
        if self._closing:
            return
        log.error("the fork server died (%d); its children live on", ending.returncode)
        self._on_exit(exited_of(FORK_SERVER_ID, ending))
        self._adopt(ending)
        self._replace()

    def _adopt(self, ending: child.ChildExit) -> None:
        """Watch the orphans directly, and report as ended what was never started."""
        for worker_id, pid in list(self._pids.items()):
            if worker_id not in self._adopted:
                self._watch(worker_id, pid)
        told = {spec.id for spec in self._outbox}
        for worker_id in [one for one in self._pending if one not in told]:
            del self._pending[worker_id]
            self._report(Exited(id=worker_id, pid=0, returncode=ending.returncode, max_rss=0, start_error=ORPHANED))
        self._reap_orphans()  # also children that were forked and never announced
        self._spawn_some()

    def _watch(self, worker_id: WorkerId, pid: int) -> None:
        """Watch a child of the supervisor: adopted, or spawned."""
        self._adopted.add(worker_id)
        ended = partial(self._orphan_ended, worker_id)
        try:
            child.watch(pid, ended)
        except ChildProcessError:  # the fork server had reaped it, and died before it could report it
            ended(child.ChildExit(pid, -signal.SIGKILL, 0))

    def _orphan_ended(self, worker_id: WorkerId, ending: child.ChildExit) -> None:
        self._adopted.discard(worker_id)
        self._report(exited_of(worker_id, ending))
        self._reap_orphans()

    def _reap_orphans(self) -> None:
        if not self._closing:  # else all children are ended together, and nothing is to be ended after that
            reap_orphans({self._fork_server.pid, *self._pids.values()}, self._orphans, self._reap_orphans)

    def _replace(self) -> None:
        loop = asyncio.get_running_loop()
        delay = self._life.delay(loop.time())
        assert delay is not None, "a fork server is never given up"
        log.error("another fork server is started in %.1f s; until it serves, processes are spawned", delay)
        loop.call_later(delay, self._succeed)

    def _succeed(self) -> None:
        if self._closing:
            return
        try:
            self._fork_server = self._launch()
        except OSError as error:
            log.error("a fork server cannot be started: %s", error)
            self._replace()
            return
        self._life.started()
        self._follow()
