"""The monitor of a command: starts it, reports its end, and lets none of its descendants escape.

A process of its own for every running command, which takes another once all descendants of the last have ended. Orphans
are reparented to the monitor (PR_SET_CHILD_SUBREAPER), whatever session or group they have moved to. On the launcher's
order, or when the launcher is gone, everything is killed.
"""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias

from greenroom.runtime.process import hardening
from greenroom.workers.sandbox import messages
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.connections import Connections
from greenroom.workers.sandbox.messages import CommandEnded, Deserted, Kill, Monitor, MonitorReport, Send, Started
from greenroom.workers.sandbox.program import PreforkedChild
from greenroom.workers.sandbox.rules import enforcement, features
from greenroom.workers.sandbox.rules.enforcement import RuleCache
from greenroom.workers.sandbox.system.processes import below, children_by_parent, start_time

DESCRIPTORS: Final = 2
"""Descriptors that a monitor receives: its end of the channel to the launcher, and the request."""

_Note: TypeAlias = Callable[[int, int, int], None]
"""Called with each death: pid, status, largest resident memory in the kernel's unit."""


def run_monitor(zygote: socket.socket, orders: socket.socket) -> NoReturn:
    """Run as the monitor of the commands that the zygote hands over, one after the other. Never returns.

    While it has a command, its name has the pid of the command's worker, so that others can tell whose command it is.

    A command is sent to the preforked child directly: the first over `orders`, each later one over a channel whose
    other end goes to the zygote when it can accept one. The zygote closes its end to say that there will be none.
    """
    hardening.set_name("gr-monitor")
    hardening.adopt_orphans()
    deserted = True
    rules: RuleCache | None = None
    try:
        wakeup = _signal_pipe()
        while deserted:
            preforked = PreforkedChild.fork(orders, rules)
            _, descriptors, _, _ = socket.recv_fds(zygote, 1, DESCRIPTORS)
            if len(descriptors) < DESCRIPTORS:
                break
            control, request = descriptors
            wanted = messages.decode_request(messages.content(request))
            confinement = wanted.confinement
            os.close(request)
            with socket.socket(fileno=control) as launcher:
                hardening.set_name(f"gr-mon {_maker(launcher)}")
                monitor = _Monitor(launcher, preforked, wakeup)
                deserted = monitor.start(confinement, wanted.siblings) and monitor.watch()
            if deserted:
                hardening.set_name("gr-monitor")
                rules = enforcement.refresh_rules(rules, confinement)
                orders = _ask_for_another(zygote)
    finally:
        end_descendants()
        os._exit(0)


def _ask_for_another(zygote: socket.socket) -> socket.socket:
    zygote_end, own_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with zygote_end:
        socket.send_fds(zygote, [b"."], [zygote_end.fileno()])
    return own_end


def _maker(channel: socket.socket) -> int:
    """Return the pid of the process that has made a pair of sockets (unix(7), SO_PEERCRED): here the worker."""
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


class _Monitor:
    def __init__(self, control: socket.socket, preforked: PreforkedChild, wakeup: int) -> None:
        self._control = control
        self._wakeup = wakeup
        self._preforked = preforked
        self._pid = 0
        """The command while it lives, else 0."""
        self._connections: Connections | None = None

    def start(self, confinement: Confinement | None, siblings: Sequence[Monitor]) -> bool:
        """Wait until the command runs, and return whether it does."""
        limits = features.probe().limits(writes=bool(confinement.writable)) if confinement is not None else ()
        failed = self._preforked.failure()
        if failed is not None:
            self._report(failed)
            return False
        self._pid = self._preforked.pid
        if confinement is not None and self._preforked.listeners:
            listener = self._preforked.listeners.pop()
            self._connections = Connections(listener, lambda: _peers(siblings), confinement.sockets)
        self._report(Started(self._pid, limits))
        return True

    def watch(self) -> bool:
        """Carry out orders and report until nothing is left to watch, or, returning `False`, the launcher is gone."""
        poll = select.poll()
        try:
            return self._watch(poll)
        finally:
            self._disconnect(poll)

    def _watch(self, poll: select.poll) -> bool:
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while self._reap():
            pause = None if self._connections is None else self._connections.register(poll)
            ready = dict(poll.poll(pause))
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            if self._control.fileno() in ready and not self._obey():
                return False
            if self._connections is not None and not self._connections.serve(ready, poll):
                self._disconnect(poll)
        self._report(Deserted())
        return True

    def _disconnect(self, poll: select.poll) -> None:
        if self._connections is not None:
            self._connections.close(poll)
            self._connections = None

    def _obey(self) -> bool:
        data = self._control.recv(messages.LONGEST)
        if not data:
            return False
        match messages.decode_order(data):
            case Send(number):
                if self._pid:
                    _send(number, self._pid)
            case Kill():
                end_descendants(self._note)
        return True

    def _reap(self) -> bool:
        """Reap all that have ended; return whether any process is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self._note(pid, status, usage.ru_maxrss)

    def _note(self, pid: int, status: int, max_rss: int) -> None:
        if pid == self._pid:
            self._pid = 0
            self._report(CommandEnded(pid, os.waitstatus_to_exitcode(status), max_rss * 1024))

    def _report(self, report: MonitorReport) -> None:
        with contextlib.suppress(OSError):  # the launcher has closed its end: the next read of the control reports it
            self._control.send(messages.encode_message(report))


def end_descendants(note: _Note = lambda *_: None) -> None:
    """Kill all descendants, and wait until they are gone.

    The parent of a process that is forked meanwhile is killed as well; so the process is reparented here and found
    next.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            killed = _kill_descendants()
            while True:
                pid, status, usage = os.wait4(-1, 0)
                note(pid, status, usage.ru_maxrss)
                killed.discard(pid)
                if not killed:
                    break


def _kill_descendants() -> set[int]:
    """Kill all living descendants; return those that only this process can reap."""
    children = children_by_parent()
    found = below(children, os.getpid())
    return {pid for pid in found if _kill(pid)} & set(children.get(os.getpid(), ()))


def _peers(siblings: Sequence[Monitor]) -> set[int]:
    """Return the processes of our command, and those of its siblings that still run."""
    children = children_by_parent()
    running = [monitor.pid for monitor in siblings if start_time(monitor.pid) == monitor.started]
    return {pid for monitor in (os.getpid(), *running) for pid in below(children, monitor)}


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _send(number: int, group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _signal_pipe() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader
