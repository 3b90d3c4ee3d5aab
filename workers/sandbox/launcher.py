"""Starts commands, confined or not, and ends each with everything that it started. The worker's side, on asyncio.

    zygote ── monitor ── command ── what it starts
          └── monitor ── command

The zygote is small and without threads: one for all workers, or one of the worker's own. It forks a monitor for each
command, and that the command. A command leads a session of its own, has the descriptors 0, 1 and 2 and no others, and
the environment that it is given and no more. When the worker ends, however that happens, the monitors of its commands
find their channels closed and kill everything.

Nothing is waited for without a limit. A zygote or a monitor that does not answer is killed and the command goes to
another one, provided that it was not begun: each command begins at most once (`messages.claim`).
"""

import asyncio
import contextlib
import errno
import logging
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.runtime.process.child import ChildExit
from greenroom.workers.sandbox import messages, zygote
from greenroom.workers.sandbox.child import Child
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.messages import Monitor, SandboxRequest, Started, StartFailed
from greenroom.workers.sandbox.system.processes import start_time
from greenroom.workers.sandbox.zygote_link import LOST, ZygoteLink, start_shared_zygote

__all__ = ["Child", "Launcher", "LauncherStatistics", "Loss", "ZygoteStanding", "start_shared_zygote"]

log = logging.getLogger(__name__)

_NOT_CONFINED: Final = "the command could not be confined"
TIMEOUT: Final = 1.0
"""Seconds that killed commands have to die."""
TRIES: Final = 3
"""How often a command is handed over before it fails to start."""
HANG: Final = 5.0
"""Seconds without an answer after which a zygote or a monitor counts as hung, where the command can wait so long."""
LEAST: Final = 0.25
"""Seconds that each try has at least, however little time the command has."""
LONGEST: Final = 30.0
"""Seconds of the last try, and of the start of a claimed program, where the command has no limit."""

_Streams: TypeAlias = tuple[int | None, int, int]


class LauncherStatistics(msgspec.Struct, frozen=True):
    """Counts since the start."""

    running: int
    """Commands that run at the moment."""
    left_behind: int
    """Commands that have ended while their descendants have not."""
    started: int
    """Commands that were started in all."""


class ZygoteStanding(msgspec.Struct, frozen=True):
    """The state of this worker's zygote."""

    pid: int | None
    """`None` while there is none: the next command gets another one."""
    is_shared: bool
    restarts: int
    """How often it was replaced."""


class Loss(msgspec.Struct, frozen=True):
    """The loss of a zygote or a monitor."""

    role: Literal["zygote", "monitor"]
    pid: int
    is_shared: bool
    """Whether it is the fork server's child, which reports its death, too."""
    cause: str | None
    """The reason, if this worker has killed it."""
    returncode: int
    max_rss: int
    """Largest resident memory of its lifetime in bytes, 0 where that is not known."""


class Launcher:
    """Starts the commands of one worker."""

    def __init__(self, first: ZygoteLink, on_loss: Callable[[Loss], object] = lambda _: None) -> None:
        self._zygote: ZygoteLink | None = first
        self._suspects: dict[ZygoteLink, Child] = {}
        """Shared zygotes that were too slow for a command, and the command that they have not answered yet."""
        self._restarts = 0
        self.on_loss = on_loss
        """Called with each zygote and monitor that is lost."""
        self._children: set[Child] = set()
        self._started = 0
        self._sending = asyncio.Lock()
        self._closing = False

    @classmethod
    def fork(cls) -> "Launcher":
        """Fork a zygote of this worker's own."""
        return cls(ZygoteLink.fork())

    @classmethod
    def attach(cls, on_loss: Callable[[Loss], object] = lambda _: None) -> "Launcher":
        """Use the zygote that was shared before this process was forked, and an own one where there is none.

        `on_loss` is called with each zygote and monitor that is lost. Raises `OSError` where no process can be forked.
        """
        return cls(ZygoteLink.attach() or ZygoteLink.fork(), on_loss)

    def warm(self) -> None:
        """Prepare for the next command; without it that command takes some milliseconds longer.

        For the start of a turn. Commands within half a minute after another need no such hint.
        """
        with contextlib.suppress(OSError):  # no process can be forked now: the start of the command will report it
            self._present_zygote().expect()

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
        limit: float = math.inf,
    ) -> Child:
        """Start a command and return once its program runs.

        The program is looked up in the `PATH` of `environment`, which is the command's whole environment. `stdin` is
        empty by default. With `terminal`, `stdin` is a terminal and becomes the controlling terminal of the command.
        The descriptors stay the caller's. Without a confinement the command has the permissions of this process.

        Returns or raises within `limit` seconds, or `TRIES` times `LEAST` if that is longer. A program that may have
        started by then without confirmation is killed and returned as running.

        Raises `SandboxUnavailableError` if the system cannot confine commands, and `OSError` otherwise; its `filename`
        is the directory that cannot be entered or the program that cannot be run. When cancelled, nothing is left
        running.
        """
        if not argv:
            raise ValueError("command args are empty")
        request = SandboxRequest(
            tuple(argv), cwd, dict(environment), confinement, terminal, self._siblings(confinement)
        )
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        for left in reversed(range(TRIES)):
            remaining = begun_at + limit - loop.time()
            timeout_s = max(LEAST, min(HANG, remaining / 2) if left else min(LONGEST, remaining))
            child = await self._try(request, (stdin, stdout, stderr), timeout_s, max(LEAST, min(LONGEST, remaining)))
            if child is not None:
                self._forget_gone()
                self._children.add(child)
                self._started += 1
                return child
        text = f"the processes that start commands were lost or gave no answer, {TRIES} times; nothing was run"
        raise OSError(errno.ETIMEDOUT, text, request.argv[0])

    @property
    def zygote(self) -> ZygoteStanding:
        """The state of the zygote."""
        link = None if self._zygote is None or self._zygote.is_lost else self._zygote
        return ZygoteStanding(None if link is None else link.pid, link is not None and link.is_shared, self._restarts)

    def statistics(self) -> LauncherStatistics:
        """Return the counters."""
        self._forget_gone()
        running = sum(not child.has_ended for child in self._children)
        return LauncherStatistics(running, len(self._children) - running, self._started)

    def kill_all(self) -> None:
        """Kill every command and its descendants. Does not wait."""
        for child in self._children:
            child.kill()

    async def close(self, timeout_s: float = TIMEOUT) -> None:
        """Kill everything, wait until it is gone, and end the zygote if it is this worker's own.

        Processes that may not be killed, such as a program that has changed its user, are waited for `patience`
        seconds, and a zygote as long before it is killed.
        """
        self._closing = True
        self.kill_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for child in list(self._children):
                    await child.wait_gone()
        for child in self._children:
            child.abandon()
        self._children.clear()
        for suspect, child in self._suspects.items():
            suspect.close()
            child.abandon()
        self._suspects.clear()
        link, self._zygote = self._zygote, None
        if link is not None:
            await _end(link, timeout_s)

    def _siblings(self, confinement: Confinement | None) -> tuple[Monitor, ...]:
        """Return the monitors of running commands whose Unix sockets a new one may use."""
        if confinement is None or not confinement.network:
            return ()
        alike = [child for child in self._children if child.confinement == confinement and not child.is_gone]
        pids = [child.monitor for child in alike if child.monitor is not None]
        return tuple(Monitor(pid, started) for pid in pids if (started := start_time(pid)) is not None)

    def _forget_gone(self) -> None:
        self._children = {child for child in self._children if not child.is_gone}

    async def _try(
        self, request: SandboxRequest, streams: _Streams, timeout_s: float, remaining: float
    ) -> Child | None:
        """Hand a command over once. Return `None` if that failed, so that the command may be tried again."""
        link = self._present_zygote()
        child = Child(request.confinement)
        content = messages.encode_message(request)
        try:
            with _memory_file(content) as file:
                outcome = await self._begin(link, child, request, file, streams, timeout_s)
                if outcome is None and messages.withdraw(file, len(content)):
                    self._blame(link, child, timeout_s)
                    return None
                if outcome is None:  # it may have begun, and must not begin twice
                    outcome = await _within(child, remaining)
        except BaseException:
            child.abandon()
            raise
        if isinstance(outcome, StartFailed):
            child.abandon()
            raise _as_error(outcome, request)
        if outcome is None:
            child.presume_begun()
            self._kill_monitor(child)
        return child

    async def _begin(
        self, link: ZygoteLink, child: Child, request: SandboxRequest, file: int, streams: _Streams, timeout_s: float
    ) -> Started | StartFailed | None:
        """Return the outcome of a start within `timeout_s` seconds, `None` without an answer."""
        kind = zygote.FREE if request.confinement is None else zygote.CONFINED
        stdin, stdout, stderr = streams
        try:
            async with asyncio.timeout(timeout_s):
                with child.monitor_end as control, _null_or(stdin) as source:
                    async with self._sending:
                        await link.ask(kind, [control.fileno(), file, source, stdout, stderr])
                return await child.begin()
        except (TimeoutError, *LOST):
            return None

    def _blame(self, link: ZygoteLink, child: Child, timeout_s: float) -> None:
        """Find out which process has not carried out a command that was withdrawn, and stop using it."""
        if child.is_taken and self._kill_monitor(child):
            pass  # the zygote is well, and has another monitor for it
        elif link.is_lost:
            if link is self._zygote:
                self._lose_zygote()
        elif not child.is_gone and link is self._zygote:
            self._suspect(link, child, timeout_s)
            return
        child.abandon()

    def _suspect(self, link: ZygoteLink, child: Child, timeout_s: float) -> None:
        """Stop using a zygote that does not answer; kill it, unless others need it and it may only be slow."""
        self._zygote = None
        if link.is_shared and timeout_s < HANG:
            self._suspects[link] = child
            asyncio.get_running_loop().call_later(HANG - timeout_s, self._judge, link)
            return
        child.abandon()
        self._kill_hung(link)

    def _judge(self, link: ZygoteLink) -> None:
        child = self._suspects.pop(link, None)
        if child is None:
            return
        if not (child.is_taken or child.is_gone):
            self._kill_hung(link)
        link.close()
        child.abandon()

    def _kill_hung(self, link: ZygoteLink) -> None:
        log.error("the process that starts commands, %d, hangs and is killed", link.pid)
        self.on_loss(Loss("zygote", link.pid, link.is_shared, _HANGS, -signal.SIGKILL, 0))
        link.kill()
        link.close()

    def _kill_monitor(self, child: Child) -> bool:
        pid = child.monitor
        if pid is None or not child.kill_monitor():
            return False
        log.error("the monitor of a command, process %d, hangs and is killed", pid)
        self.on_loss(Loss("monitor", pid, False, _HANGS, -signal.SIGKILL, 0))
        return True

    def _present_zygote(self) -> ZygoteLink:
        """Return the zygote, another one where it was lost."""
        if self._zygote is not None and self._zygote.is_lost:
            self._lose_zygote()
        if self._zygote is None:
            self._zygote = ZygoteLink.fork()
            self._restarts += 1
        link = self._zygote
        link.watch(lambda ending: self._zygote_ended(link, ending))
        return link

    def _lose_zygote(self) -> None:
        if self._zygote is not None:
            log.warning("the process that starts commands, %d, is gone; another one takes its place", self._zygote.pid)
            self._zygote.close()
            self._zygote = None

    def _zygote_ended(self, link: ZygoteLink, ending: ChildExit) -> None:
        if not self._closing and not link.was_killed:
            self.on_loss(Loss("zygote", ending.pid, False, None, ending.returncode, ending.max_rss))
        if link is self._zygote:
            self._lose_zygote()


_HANGS: Final = "it gave no answer and was killed"


async def _within(child: Child, seconds: float) -> Started | StartFailed | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await child.begin()
    return None


async def _end(link: ZygoteLink, timeout_s: float) -> None:
    """Close the channel to a zygote, and wait for its end where it is an own one."""
    link.watch(lambda _: None)
    if link.is_shared:
        link.close()
        return
    closing = asyncio.get_running_loop().call_later(timeout_s, link.kill_unheard)
    link.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * timeout_s):
            await link.buried()
    closing.cancel()


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
    descriptor = os.memfd_create("command", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
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
