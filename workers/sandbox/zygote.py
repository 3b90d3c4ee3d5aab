"""Forks the guardians: a process that stays small and single-threaded.

A worker that has threads of ZeroMQ cannot fork safely, and the larger it has grown the longer a fork takes. One zygote
can serve any number of workers: a fresh interpreter that imports nothing but what it needs (`main`). A worker can also
fork one of its own (`live`). While commands are to be expected one guardian with its embryo is kept forked in advance:
a command is seldom alone.
"""

import gc
import os
import select
import signal
import socket
from typing import Final, NoReturn

from runtime import hardening
from workers.sandbox import enforcement
from workers.sandbox.guardian import DESCRIPTORS, end_descendants, guard

CONFINED: Final = b"c"
FREE: Final = b"f"
"""A command is to be run, in the sandbox or not; the guardian's descriptors come with it."""
EXPECT: Final = b"e"
"""A command is to be expected."""
CHANNEL: Final = 3
"""The descriptor of the channel, where the zygote is a fresh interpreter."""
IDLE_SECONDS: Final = 30.0
"""How long after a command, or the word of one, another is expected."""


def main() -> NoReturn:
    """Run as a zygote that serves many workers: it leaves when nobody holds the other end of its channel any more."""
    hardening.make_undumpable()
    enforcement.prepare()
    live(socket.socket(fileno=CHANNEL))


def live(channel: socket.socket) -> NoReturn:
    """Live as the zygote in a process that was just forked, until the other end of `channel` closes."""
    try:
        _settle(channel)
        zygote = _Zygote(channel)
        while zygote.serve():
            pass
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants()
    finally:
        os._exit(0)


class _Zygote:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._spare: socket.socket | None = None

    def serve(self) -> bool:
        """Do what the launcher wants next; `False` when it is gone."""
        if not self._poll.poll(None if self._spare is None else IDLE_SECONDS * 1000):
            self._drop_spare()
            return True
        kind, descriptors, _, _ = socket.recv_fds(self._channel, 1, DESCRIPTORS)
        if kind in (EXPECT, CONFINED):
            enforcement.prepare()  # what is found out here is known to all guardians
        if kind in (CONFINED, FREE):
            self._hand_over(descriptors)
        if kind and self._spare is None:
            self._spare = self._fork()
        return bool(kind)

    def _hand_over(self, descriptors: list[int]) -> None:
        guardian, self._spare = self._spare or self._fork(), None
        with guardian:
            socket.send_fds(guardian, [b"."], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _fork(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._channel, ours):
                end.close()
            guard(theirs)
        theirs.close()
        return ours


def _settle(channel: socket.socket) -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()
    hardening.set_name("gr-zygote")
    hardening.adopt_orphans()  # of a guardian that is killed
    _settle_signals()
    _close_all_but(channel.fileno())
    gc.freeze()
    gc.disable()


def _settle_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it goes when its worker does, and not before the commands
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that dead guardians need no burial


def _close_all_but(kept: int) -> None:
    """Give up every descriptor that the worker had; 0, 1 and 2 stay taken."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
