"""The zygote forks the monitors: a process that stays small and single-threaded.

A worker that has threads of ZeroMQ cannot fork safely, and a fork takes longer the larger the process is. One zygote
can serve any number of workers: a fresh interpreter that imports only what it needs (`main`). A worker can also fork
one of its own (`live`). While commands are expected a monitor with its preforked child waits for the next: one that has
watched another command before, or one that was forked in advance. A command is seldom alone.
"""

import contextlib
import gc
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Final, NoReturn

from greenroom.runtime.process import hardening, orphans
from greenroom.workers.sandbox import messages
from greenroom.workers.sandbox.monitor import end_descendants, run_monitor
from greenroom.workers.sandbox.rules import enforcement
from greenroom.workers.sandbox.system.descriptors import close_all_but

CONFINED: Final = b"c"
FREE: Final = b"f"
"""A command is to be run, in the sandbox or not. With it come `DESCRIPTORS` descriptors.

They are the monitor's end of the channel to the launcher, the request, and the three streams.
"""
DESCRIPTORS: Final = 5
EXPECT: Final = b"e"
"""A command is expected."""
CHANNEL: Final = 3
"""The descriptor of the channel, where the zygote is a fresh interpreter."""
SOON_MS: Final = 20.0
"""Milliseconds after which another monitor is forked where none has come back: the command may take long."""
IDLE_SECONDS: Final = 30.0
"""Seconds after a command, or the hint of one, in which another is expected."""


def main() -> NoReturn:
    """Run as a zygote that serves many workers: it exits when the other end of its channel is closed everywhere."""
    hardening.make_undumpable()
    enforcement.precompute_rules()
    live(socket.socket(fileno=CHANNEL))


def live(channel: socket.socket) -> NoReturn:
    """Run as the zygote in a process that was just forked, until the other end of `channel` closes."""
    try:
        _settle(channel)
        zygote = _Zygote(channel)
        while zygote.serve():
            pass
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants()
    finally:
        os._exit(0)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A monitor and its preforked child that wait for a command."""

    pid: int
    """The monitor's."""
    monitor: socket.socket
    preforked: socket.socket

    def hand_over(self, control: int, request: int, streams: list[int]) -> None:
        """Give them the command. Raises `OSError` where the monitor is gone; then nothing has begun."""
        with contextlib.suppress(OSError):  # the launcher is gone: the monitor notices that, too
            os.write(control, messages.encode_message(messages.MonitorAssigned(self.pid)))
        socket.send_fds(self.monitor, [b"."], [control, request])
        with self.preforked, contextlib.suppress(OSError):  # it is dead, which its monitor reports
            socket.send_fds(self.preforked, [b"."], [request, *streams])


class _Zygote:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._monitors: dict[int, tuple[socket.socket, int]] = {}
        """All live monitors, with their pids, by descriptor: those that watch commands and the spare one."""
        self._dying: set[int] = set()
        """Descriptors (pidfd_open(2)) of dying processes, whose children will be reparented to the zygote."""
        self._spare: _Pair | None = None
        self._expecting = False

    def serve(self) -> bool:
        """Carry out the launcher's next request; `False` when it is gone."""
        ready = [descriptor for descriptor, _ in self._poll.poll(self._timeout())]
        if not ready and self._spare is None:
            self._spare = self._fork()
        elif not ready:
            self._rest()
        for descriptor in ready:
            if descriptor in self._monitors:
                self._receive(*self._monitors[descriptor])
            elif descriptor in self._dying:
                self._dying.discard(descriptor)
                self._poll.unregister(descriptor)
                os.close(descriptor)
                self._end_orphans()
        return self._channel.fileno() not in ready or self._obey()

    def _timeout(self) -> float | None:
        """Milliseconds until something is due."""
        if self._spare is not None:
            return IDLE_SECONDS * 1000
        return SOON_MS if self._expecting else None

    def _obey(self) -> bool:
        kind, descriptors, _, _ = socket.recv_fds(self._channel, 1, DESCRIPTORS)
        self._expecting = True
        if kind in (EXPECT, CONFINED):
            enforcement.precompute_rules()  # what is computed here is inherited by all monitors
        if kind in (CONFINED, FREE) and len(descriptors) == DESCRIPTORS:
            self._hand_over(descriptors)
        elif kind == EXPECT and self._spare is None:
            self._spare = self._fork()
        return bool(kind)

    def _hand_over(self, descriptors: list[int]) -> None:
        control, request, *streams = descriptors
        pair, self._spare = self._spare or self._fork(), None
        try:
            pair.hand_over(control, request, streams)
        except OSError:  # the spare monitor was killed
            self._fork().hand_over(control, request, streams)
        for descriptor in descriptors:
            os.close(descriptor)

    def _receive(self, monitor: socket.socket, pid: int) -> None:
        """Take back a monitor whose command is over as the spare one, or let it exit."""
        try:
            _, descriptors, _, _ = socket.recv_fds(monitor, 1, 1)
        except OSError:
            descriptors = []
        children = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if children and self._spare is None:
            self._spare = _Pair(pid, monitor, children[0])
        else:
            self._let_go(monitor, *children)
        if not children:
            self._await_end(pid)

    def _let_go(self, monitor: socket.socket, *children: socket.socket) -> None:
        self._poll.unregister(monitor)
        del self._monitors[monitor.fileno()]
        if self._spare is not None and self._spare.monitor is monitor:
            self._spare.preforked.close()
            self._spare = None
        for end in (monitor, *children):
            end.close()

    def _await_end(self, pid: int) -> None:
        """Kill a process's orphans as soon as it is dead: its descriptors close before that."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._end_orphans()
            return
        self._dying.add(descriptor)
        self._poll.register(descriptor, select.POLLIN)

    def _end_orphans(self) -> None:
        """Kill the orphans of killed monitors, and their orphans in turn."""
        for pid in orphans.kill_orphans({pid for _, pid in self._monitors.values()}):
            self._await_end(pid)

    def _rest(self) -> None:
        self._expecting = False
        if self._spare is not None:
            self._let_go(self._spare.monitor)

    def _fork(self) -> _Pair:
        monitor, monitors_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        preforked, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            close_all_but(monitors_end.fileno(), child_end.fileno())  # closes for instance the streams of a command
            run_monitor(monitors_end, child_end)
        monitors_end.close()
        child_end.close()
        self._monitors[monitor.fileno()] = (monitor, pid)
        self._poll.register(monitor, select.POLLIN)
        return _Pair(pid, monitor, preforked)


def _settle(channel: socket.socket) -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()
    hardening.set_name("gr-zygote")
    hardening.adopt_orphans()  # those of a monitor that is killed
    _settle_signals()
    _take_null_streams()
    close_all_but(channel.fileno())
    gc.freeze()
    gc.disable()


def _settle_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it exits with its worker, and not before the commands
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the kernel reaps dead monitors


def _take_null_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
