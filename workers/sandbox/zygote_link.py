"""A worker's link to a zygote, shared or its own: sends requests, notices its death, and ends it."""

import array
import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Final

from greenroom.runtime.process.child import ChildExit, watch
from greenroom.runtime.process.spawn import spawn
from greenroom.workers.sandbox import zygote

log = logging.getLogger(__name__)

LOST: Final = (BrokenPipeError, ConnectionResetError)
"""Errors of a request to a zygote that is gone."""


class ZygoteLink:
    """The channel to one zygote, and its pid."""

    def __init__(self, channel: socket.socket, pid: int, *, is_shared: bool) -> None:
        self._channel = channel
        self.pid = pid
        self.is_shared = is_shared
        """Whether it is the one that was shared before this process was forked."""
        self.was_killed = False
        """Whether this process has killed it."""
        self._watched = False
        self._gone = asyncio.Event()

    @classmethod
    def fork(cls) -> "ZygoteLink":
        """Fork a zygote of this process's own."""
        own_end, zygote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            zygote.live(zygote_end)
        zygote_end.close()
        return cls(own_end, pid, is_shared=False)

    @classmethod
    def attach(cls) -> "ZygoteLink | None":
        """Link to the shared zygote, if there is one."""
        return None if _shared is None else cls(_shared[0].dup(), _shared[1], is_shared=True)

    @property
    def is_lost(self) -> bool:
        """Whether the zygote is gone: the kernel closes its end of the channel at its death."""
        if self._channel.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._channel, 0)
        return bool(poll.poll(0))

    def watch(self, on_end: Callable[[ChildExit], None]) -> None:
        """Report the end of an own zygote, and reap it. A shared one is a child of the fork server."""
        if self._watched or self.is_shared:
            return
        self._watched = True

        def ended(ending: ChildExit) -> None:
            self._gone.set()
            on_end(ending)

        try:
            watch(self.pid, ended)
        except ChildProcessError:
            ended(ChildExit(self.pid, -signal.SIGKILL, 0))

    def expect(self) -> None:
        """Announce that a command is expected."""
        with contextlib.suppress(OSError):  # a zygote that is busy or lost needs no hint
            self._channel.send(zygote.EXPECT, socket.MSG_DONTWAIT)

    async def ask(self, kind: bytes, descriptors: list[int]) -> None:
        """Hand a command over, waiting while the zygote's queue is full. Raises `LOST` where it is gone."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        while True:
            if self._channel.fileno() < 0:  # closed while this waited for its turn
                raise BrokenPipeError
            try:  # MSG_DONTWAIT: others hold the channel too, so that it has to stay blocking
                self._channel.sendmsg([kind], [rights], socket.MSG_DONTWAIT)  # socket.send_fds forgets its flags
                return
            except BlockingIOError:
                await _writable(self._channel)

    def kill(self) -> None:
        """Kill the zygote, unless it is gone. Monitors with a command live on."""
        if not self.is_lost:  # as long as it is there, the pid is its own
            self.was_killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def kill_unheard(self) -> None:
        """Kill an own zygote that does not exit although its channel is closed. Its pid is valid until it is reaped."""
        if not self.is_shared and not self._gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the channel. An own zygote then exits."""
        self._channel.close()

    async def buried(self) -> None:
        """Wait until an own zygote is reaped."""
        self.watch(lambda _: None)
        if not self.is_shared:
            await self._gone.wait()


def start_shared_zygote() -> int:
    """Start a zygote for all processes that are forked from this one from now on, and return its pid."""
    global _shared  # noqa: PLW0603 - this process has one
    leave_zygote()
    own_end, zygote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with zygote_end:
        pid = spawn(
            "from greenroom.workers.sandbox.zygote import main; main()", {}, {zygote.CHANNEL: zygote_end.fileno()}
        )
    _shared = own_end, pid
    return pid


def leave_zygote() -> None:
    """Close the zygote link that this process was forked with."""
    global _shared  # noqa: PLW0603 - this process has one
    if _shared is not None:
        _shared[0].close()
        _shared = None


_shared: tuple[socket.socket, int] | None = None
"""The channel and the pid of the zygote that this process was forked with."""


async def _writable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptor = channel.fileno()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
