"""Forks the guardians: a process that stays as small and single-threaded as its worker was at birth.

A worker that has threads of ZeroMQ cannot fork safely, and the larger it has grown the longer that would take.
"""

import gc
import os
import signal
import socket
from typing import Final, NoReturn

from runtime import hardening
from workers.sandbox import enforcement
from workers.sandbox.guardian import end_descendants, guard

CONFINED: Final = b"c"
FREE: Final = b"f"
"""What a request begins with: whether the sandbox is needed. The rest is passed as descriptors."""
DESCRIPTORS: Final = 5
"""The guardian's end of its channel, the request, and the three streams."""


def live(channel: socket.socket) -> NoReturn:
    """Live as the zygote in a process that was just forked, until the other end of `channel` closes."""
    try:
        _settle(channel)
        while _serve(channel):
            pass
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants()
    finally:
        os._exit(0)


def _settle(channel: socket.socket) -> None:
    os.setsid()
    hardening.set_name("gr-zygote")
    hardening.adopt_orphans()  # of a guardian that is killed
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it goes when its worker does, and not before the commands
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that dead guardians need no burial
    _close_all_but(channel.fileno())
    gc.freeze()
    gc.disable()


def _close_all_but(kept: int) -> None:
    """Give up every descriptor that the worker had; 0, 1 and 2 stay taken."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _serve(channel: socket.socket) -> bool:
    kind, descriptors, _, _ = socket.recv_fds(channel, 1, DESCRIPTORS)
    if not kind:
        return False
    if kind == CONFINED:
        enforcement.prepare()
    if len(descriptors) == DESCRIPTORS and os.fork() == 0:
        _guard(channel, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def _guard(channel: socket.socket, descriptors: list[int]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    channel.close()
    control, request, stdin, stdout, stderr = descriptors
    guard(socket.socket(fileno=control), request, (stdin, stdout, stderr))
