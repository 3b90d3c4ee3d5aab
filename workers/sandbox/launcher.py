"""Starts commands, confined or not, and ends each with everything that it started. The worker's side, on asyncio.

    zygote ── guardian ── command ── what it starts
          └── guardian ── command

The zygote is small and without threads: one for all workers, or one of the worker's own. It forks a guardian for each
command, and that the command. A command leads a session of its own, has the descriptors 0, 1 and 2 and no others, and
the environment that it is given and no more. When the worker ends, however that happens, the guardians of its commands
find their channels closed and kill everything.
"""

import array
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from greenroom.protocol.errors import ErrorKind, GreenroomError
from greenroom.runtime.child import Ending, watch
from greenroom.runtime.spawn import spawn
from greenroom.workers.sandbox import messages as words
from greenroom.workers.sandbox import zygote
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.features import SandboxUnavailableError
from greenroom.workers.sandbox.messages import (
    CommandEnded,
    Deserted,
    Kill,
    Order,
    SandboxRequest,
    Send,
    Started,
    StartFailed,
)

log = logging.getLogger(__name__)

_NOT_CONFINED: Final = "the command could not be confined"
TIMEOUT: Final = 1.0
"""Seconds that killed commands have for dying."""


class LauncherLostError(GreenroomError):
    """The process that starts commands is gone, so that this worker can start no more."""

    kind: ClassVar[ErrorKind] = "internal"


@dataclass(frozen=True, slots=True)
class LauncherStatistics:
    """Counts since the start."""

    running: int
    """Commands that run now."""
    left_behind: int
    """Commands that have ended while something that they started has not."""
    started: int
    """Commands that were started in all."""


class Child:
    """A started command. Belongs to the loop on which it was started."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._control, self.guardian_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._begun: asyncio.Future[Started | StartFailed] = self._loop.create_future()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._loop.add_reader(self._control, self._listen)

    @property
    def pid(self) -> int:
        """The command itself, which is also its process group and session."""
        return self._start().pid

    @property
    def limits(self) -> tuple[str, ...]:
        """What its sandbox does not hold on this system, or holds at a price."""
        return self._start().limits

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._ended.done()

    @property
    def is_gone(self) -> bool:
        """Whether the command has ended and with it everything that it started."""
        return self._gone.is_set()

    async def wait(self) -> Ending:
        """Wait for the end of the command itself, not of what it left running."""
        return await asyncio.shield(self._ended)

    async def wait_gone(self) -> None:
        """Wait until the command has ended and nothing that it started is left."""
        await self._gone.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command's process group, unless the command has ended."""
        self._order(Send(number))

    def kill(self) -> None:
        """Kill the command and everything that it started, wherever that has moved to. Does not wait for it."""
        self._order(Kill())

    def abandon(self) -> None:
        """Kill as `kill` does, and listen no more."""
        self._lose()

    async def begin(self) -> Started | StartFailed:
        """Wait until the program runs, or cannot."""
        return await asyncio.shield(self._begun)

    def _start(self) -> Started:
        started = self._begun.result()
        assert isinstance(started, Started)
        return started

    def _order(self, order: Order) -> None:
        if not self.is_gone:
            with contextlib.suppress(OSError):  # the guardian is gone; `_listen` finds that
                self._control.send(words.encode(order))

    def _listen(self) -> None:
        try:
            data = self._control.recv(words.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        match words.read_report(data):
            case Started() | StartFailed() as outcome:
                self._begun.set_result(outcome)
            case CommandEnded(pid, returncode, max_rss):
                self._ended.set_result(Ending(pid, returncode, max_rss))
            case Deserted():
                self._lose()

    def _lose(self) -> None:
        """Take leave of the guardian. The death of a guardian kills its command."""
        if self.is_gone:
            return
        self._loop.remove_reader(self._control)
        self._control.close()
        if not self._begun.done():
            self._begun.set_result(StartFailed("program", errno.ECHILD, "the guardian of the command is gone"))
        if not self._ended.done() and isinstance(started := self._begun.result(), Started):
            self._ended.set_result(Ending(started.pid, -signal.SIGKILL, 0))
        self._gone.set()


class Launcher:
    """Starts the commands of one worker."""

    def __init__(self, channel: socket.socket, zygote_pid: int | None) -> None:
        self._channel = channel
        self._pid = zygote_pid
        """The zygote, where it is our own."""
        self._children: set[Child] = set()
        self._started = 0
        self._sending = asyncio.Lock()

    @classmethod
    def fork(cls) -> "Launcher":
        """Fork a zygote of this worker's own."""
        return cls(*_fork_zygote())

    @classmethod
    def attach(cls) -> "Launcher":
        """Use the zygote that was shared before this process was forked, and one of our own where there is none."""
        return cls.fork() if _shared is None else cls(_shared.dup(), None)

    def warm(self) -> None:
        """Have what the next command needs made ready; without it that command takes some milliseconds longer.

        For the start of a turn. The commands that follow another within half a minute need no such hint.
        """
        with contextlib.suppress(OSError):  # a zygote that is busy or lost loses nothing by it
            self._channel.send(zygote.EXPECT, socket.MSG_DONTWAIT)

    async def spawn(
        self,
        argv: Sequence[str],
        cwd: str,
        environment: Mapping[str, str],
        *,
        stdout: int,
        stderr: int,
        stdin: int | None = None,
        terminal: bool = False,
        confinement: Confinement | None = None,
    ) -> Child:
        """Start a command and return once its program runs.

        The program is looked up in the `PATH` of `environment`, which is all that the command gets. `stdin` is empty
        where it is not given. With `terminal`, `stdin` is a terminal and becomes the one that controls the command.
        The descriptors stay the caller's. Without a confinement the command may do what we may.

        Raises `SandboxUnavailableError` where the system cannot confine commands, and `OSError` for the rest; its
        `filename` is the directory that cannot be entered or the program that cannot be run. When cancelled, nothing
        is left running.
        """
        if not argv:
            raise ValueError("command args are empty")
        request = SandboxRequest(tuple(argv), cwd, dict(environment), confinement, terminal)
        child = Child()
        try:
            await self._hand_over(child, request, (stdin, stdout, stderr))
            outcome = await child.begin()
        except BaseException:
            child.abandon()
            raise
        if isinstance(outcome, StartFailed):
            child.abandon()
            raise _as_error(outcome, request)
        self._forget_gone()
        self._children.add(child)
        self._started += 1
        return child

    def statistics(self) -> LauncherStatistics:
        """Return the counts."""
        self._forget_gone()
        running = sum(not child.has_ended for child in self._children)
        return LauncherStatistics(running, len(self._children) - running, self._started)

    def kill_all(self) -> None:
        """Kill every command and everything that they started. Does not wait for it."""
        for child in self._children:
            child.kill()

    async def close(self, timeout_s: float = TIMEOUT) -> None:
        """Kill everything, wait until it is gone, and end the zygote if it is our own.

        What we may not kill, such as a program that has become another user's, is waited for `patience` seconds.
        """
        self.kill_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for child in list(self._children):
                    await child.wait_gone()
        for child in self._children:
            child.abandon()
        self._children.clear()
        self._channel.close()
        if self._pid is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await _buried(self._pid)

    def _forget_gone(self) -> None:
        self._children = {child for child in self._children if not child.is_gone}

    async def _hand_over(self, child: Child, request: SandboxRequest, streams: tuple[int | None, int, int]) -> None:
        kind = zygote.FREE if request.confinement is None else zygote.CONFINED
        stdin, stdout, stderr = streams
        with child.guardian_end as control, _memory_file(words.encode(request)) as file, _null_or(stdin) as source:
            async with self._sending:
                await self._pass(kind, [control.fileno(), file, source, stdout, stderr])

    async def _pass(self, kind: bytes, descriptors: list[int]) -> None:
        while True:
            try:
                _send_now(self._channel, kind, descriptors)
                return
            except BlockingIOError:
                await _writable(self._channel)
            except (BrokenPipeError, ConnectionResetError) as error:
                if self._pid is not None:
                    raise LauncherLostError(
                        "the process that starts this conversation's commands is gone; resume the conversation"
                    ) from error
                log.warning("the process that starts everybody's commands is gone; going on with one of our own")
                self._channel.close()
                self._channel, self._pid = _fork_zygote()


def share_zygote() -> int:
    """Start a zygote for all processes that are forked from this one from now on, and return its pid."""
    global _shared
    _shared, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return spawn("from greenroom.workers.sandbox.zygote import main; main()", {}, {zygote.CHANNEL: theirs.fileno()})


def leave_zygote() -> None:
    """Give up the zygote that this process was born with."""
    global _shared  # noqa: PLW0603 - this process has one
    if _shared is not None:
        _shared.close()
        _shared = None


_shared: socket.socket | None = None
"""The channel of the zygote that this process was born with."""


def _fork_zygote() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        zygote.live(theirs)
    theirs.close()
    return ours, pid


def _send_now(channel: socket.socket, kind: bytes, descriptors: list[int]) -> None:
    """Send or raise `BlockingIOError`. Others hold the channel too, so it has to stay as it is."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    channel.sendmsg([kind], [rights], socket.MSG_DONTWAIT)  # socket.send_fds forgets its flags


def _as_error(failed: StartFailed, request: SandboxRequest) -> OSError | SandboxUnavailableError:
    match failed.obstacle:
        case "sandbox":
            return SandboxUnavailableError(failed.text if failed.number is None else f"{_NOT_CONFINED}: {failed.text}")
        case "directory":
            return OSError(failed.number or errno.EIO, failed.text, request.cwd)
        case "program":
            return OSError(failed.number or errno.EIO, failed.text, request.argv[0])


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("command")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _null_or(descriptor: int | None) -> Iterator[int]:
    if descriptor is not None:
        yield descriptor
        return
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield null
    finally:
        os.close(null)


async def _writable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(channel)


async def _buried(pid: int) -> None:
    ended = asyncio.Event()
    try:
        watch(pid, lambda _: ended.set())
    except ChildProcessError:
        return
    await ended.wait()
