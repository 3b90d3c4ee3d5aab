"""The fork server: imports once what every child needs, forks children on request, and reports each end at once.

It stays single-threaded and opens neither a ZeroMQ context nor an event loop, because neither survives a fork. It is a
subreaper: orphans of its children are reparented to it and ended, so that no process of a worker outlives the worker.
Only a token refresh that a broker has left finishes first. When the supervisor's end of the channel closes it ends all
its children and exits.
"""

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Generator, Iterator
from typing import NoReturn

from greenroom.protocol.ids import WorkerId, uuid7
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
from greenroom.runtime.log import log, logfile
from greenroom.runtime.process import child, footprint, hardening, huge_pages, orphans
from greenroom.runtime.process.immortal import Immortalizer
from greenroom.runtime.process.launch import CONTROL, DATAGRAM, LAST_TIMEOUT
from greenroom.runtime.restart import Backoff
from greenroom.supervisor.processes.engines.engine import ZYGOTE_PREFIX
from greenroom.supervisor.processes.engines.roles import become, complete_worker, share_zygote
from greenroom.supervisor.processes.restart import ZYGOTE

QUIET_MS = 50
"""Milliseconds without a request, after the first, until it begins to import what only later children need."""
IMMORTALIZE_SECONDS = 0.002
"""Seconds for which it makes objects immortal before it looks for requests again."""
EARLY_SPAWNS = 4
"""Children that are forked before the end of that at most: enough for first calls; each repeats what is missing."""
LEAVE_TIMEOUT = 0.2
"""Seconds that children have for leaving by themselves once the supervisor is gone."""
LEAVE_PAUSE = 0.005
"""Seconds between two looks whether they have."""


class ForkServer:
    """The children of one fork server, and its channel to the supervisor."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, WorkerId] = {}
        self._orphans = orphans.OrphanTracker()
        self._specs = 0
        self._directory = ""
        """The directory of the instance's sockets, once a spec has named it."""
        self._complete = False
        self._is_dismissed = False
        self._zygote: WorkerId | None = None
        """The zygote that starts commands for the workers that are forked from now on, while it lives."""
        self._zygotes = Backoff(ZYGOTE)
        self._zygote_due: float | None = None
        """When the next zygote is due."""
        self._preparing: Generator[None, None, None] | None = None
        """Prepares for later children, in the time that requests leave."""

    def serve(self) -> None:
        """Carry out requests of the supervisor until its end of the channel closes."""
        wakeup = _signal_pipe()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        self._send(ForkServerServes(pid=os.getpid()))
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._timeout())}
            if not ready and (self._preparing is not None or not self._complete):
                self._prepare()
            if self._zygote_due is not None and time.monotonic() >= self._zygote_due:
                self._share_zygote()
            if wakeup in ready:
                os.read(wakeup, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                return

    def _timeout(self) -> float | None:
        """Milliseconds until the remaining imports, or the start of another zygote, are due."""
        if self._preparing is not None:
            return 0.0
        if self._zygote_due is not None:
            return max(0.0, self._zygote_due - time.monotonic()) * 1000
        return None if self._complete or not self._specs else QUIET_MS

    def _obey(self) -> bool:
        data = self._control.recv(DATAGRAM)
        if not data:
            return False
        message = read_datagram(data)
        if isinstance(message, EndChildren):
            self._is_dismissed = True
            return False
        if isinstance(message, Spawn):
            self._fork(message.spec)
        elif isinstance(message, MeasureForkServer):
            self._send(ForkServerMeasured(footprint=footprint.measure()))
        elif isinstance(message, Prepare) and not self._complete:
            self._directory = message.runtime_directory
            self._import_the_rest()
        return True

    def _import_the_rest(self) -> None:
        while not self._complete:
            self._prepare()

    def _prepare(self) -> None:
        """Go on with what later children need. Those forked before its end share less memory with this process.

        `ForkServerReady` follows it.
        """
        if self._preparing is None:
            self._preparing = self._preparation()
        try:
            next(self._preparing)
        except StopIteration:
            self._preparing = None
            self._send(ForkServerReady(pid=os.getpid()))

    def _preparation(self) -> Generator[None, None, None]:
        """Do all that children need beyond a first call, and yield wherever a request may be carried out."""
        yield from complete_worker(self._directory)
        self._share_zygote()
        gc.freeze()
        self._complete = True
        yield from _prepare_memory()

    def _share_zygote(self) -> None:
        """Start a zygote for the children to come. Existing children each start one of their own."""
        self._zygote_due = None
        try:
            pid = share_zygote()
        except OSError as error:  # workers then start a zygote of their own
            logging.getLogger(__name__).warning("no process to start commands can be shared: %s", error)
            self._zygote_due = time.monotonic() + self._zygotes.on_death(time.monotonic())
            return
        self._zygote = WorkerId(f"{ZYGOTE_PREFIX}{uuid7()}")
        self._orphans.expect(pid)  # the monitors of running commands, which are of its session, remain until those end
        self._adopt(self._zygote, pid)

    def _fork(self, spec: AnyProcessSpec) -> None:
        self._directory = spec.runtime_directory
        if not self._specs:
            logfile.open_log(spec.codex_home, "fork_server", instance=spec.supervisor_pid)  # children take it over
        if self._specs == EARLY_SPAWNS and not self._complete:
            self._import_the_rest()
        self._specs += 1
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: reported as a death, since it may pass
            why = error.strerror or str(error)
            self._send(Exited(id=spec.id, pid=0, returncode=1, max_rss=0, start_error=why))
            return
        if pid == 0:
            self._control.close()
            os.setsid()
            gc.enable()
            become(spec)
        if isinstance(spec, BrokerSpec):
            self._orphans.expect(pid)
        self._adopt(spec.id, pid)

    def _adopt(self, name: WorkerId, pid: int) -> None:
        self._children[pid] = name
        self._send(Spawned(id=name, pid=pid))

    def _reap(self) -> None:
        while _has_ended_child():
            pid, status, usage = os.wait3(os.WNOHANG)
            if pid == 0:
                break
            name = self._children.pop(pid, None)
            if name is not None:
                ending = child.ChildExit(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
                self._send(Exited(id=name, pid=pid, returncode=ending.returncode, max_rss=ending.max_rss))
            if name is not None and name == self._zygote:
                self._zygote = None
                self._zygote_due = time.monotonic() + self._zygotes.on_death(time.monotonic())
        orphans.kill_orphans(self._children, self._orphans)
        self._orphans.prune()

    def end(self) -> None:
        """End all children and their orphans; only a token refresh under way gets time to finish."""
        if self._preparing is not None:
            self._preparing.close()
        if not self._is_dismissed:
            _let_children_leave()
        orphans.end_all_children(self._orphans, LAST_TIMEOUT)

    def _send(self, message: Spawned | Exited | ForkServerMeasured | ForkServerReady | ForkServerServes) -> None:
        try:
            self._control.send(datagram(message))
        except OSError:  # the supervisor is gone: the next read reports it
            return


def _prepare_memory() -> Iterator[None]:
    """Let children share the pages of imported objects, and copy smaller page tables; yield where requests may come."""
    immortalizer = Immortalizer()
    while immortalizer.has_work:
        immortalizer.work(IMMORTALIZE_SECONDS)
        yield
    yield from huge_pages.collapse()


def _let_children_leave() -> None:
    """Wait until all children that are told by the lifeline, too, have left, for `LEAVE_TIMEOUT` seconds at most.

    They end their connections first, so that peers learn of it at once; those of a process that is killed end when the
    kernel has taken its memory apart.
    """
    deadline = time.monotonic() + LEAVE_TIMEOUT
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(LEAVE_PAUSE)


def _has_ended_child() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _signal_pipe() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def warm_up() -> None:
    """Run a loop once, and close it: the interpreter then does its work of first use before the fork, once for all."""

    async def nothing() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, bool)
        await asyncio.wait_for(asyncio.create_task(asyncio.sleep(0)), 1)

    asyncio.run(nothing())


def main() -> NoReturn:
    """Run as the fork server; the channel to the supervisor is descriptor 3, the lifeline descriptor 4."""
    hardening.make_undumpable()
    hardening.set_name("gr-forkserver")
    hardening.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.set_up("fork_server", "warning")
    fork_server = ForkServer(socket.socket(fileno=CONTROL))
    warm_up()
    gc.freeze()  # and no collection in this process: it would write to every object and so unshare its page
    try:
        fork_server.serve()
    finally:
        fork_server.end()
        os._exit(0)
