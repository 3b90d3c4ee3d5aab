"""Runs one command of the model from spawn to end. What goes wrong is told in the result, never raised.

Promises: the command leads a session and process group of its own, and a timeout or a cancellation kills that whole
group. The call returns within a fraction of a second after the command itself has ended, whatever its descendants hold
on to. Memory stays bounded whatever it writes.

A death signal for the parent's death (`PR_SET_PDEATHSIG`) is not asked for: it would need code in the forked child,
which costs the child its cheap start (vfork), and would reach the leader only. Whoever watches over this process kills
what it leaves, see `LiveGroups` and `runtime.hardening.adopt_orphans`.
"""

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from runtime.child import Ending
from workers.commands.capture import Captured, HeadTail
from workers.commands.command import Command
from workers.commands.pipes import Pipes, StreamName
from workers.commands.starter import Starter

OnOutput: TypeAlias = Callable[[StreamName, bytes], Awaitable[None] | None]

DRAIN_SECONDS: Final = 0.1
"""How long the pipes may stay open after the command has ended, or was killed."""
DEATH_SECONDS: Final = 1.0
"""How long a killed command may take to die before the call no longer waits for it."""
_PIPE_CAPACITY: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and what it wrote."""

    stdout: Captured
    stderr: Captured
    aggregated: Captured
    """Both streams in the order in which they were read."""
    duration: float
    """Seconds."""
    exit_code: int | None = None
    """`None` where there is none: killed, timed out, not started."""
    signal: int | None = None
    """The signal that ended it."""
    timed_out: bool = False
    spawn_error: str | None = None
    """Why it was not started; then nothing ran."""


async def run(command: Command, on_output: OnOutput, starter: Starter) -> Finished:
    """Run a command and report each read of its output once, in the order read.

    An `on_output` that returns an awaitable holds up the reading until that is done, and so the command. When this call
    is cancelled, or `on_output` raises, the command is killed before the exception goes on.
    """
    recording = _Recording(command.capture_size, on_output)
    attempt = _Attempt(command)
    try:
        await attempt.start(starter)
    except (OSError, ValueError) as error:
        return recording.finished(spawn_error=_explain(command, error))
    try:
        await attempt.relay(recording)
        await attempt.over.wait()
    finally:
        await attempt.close()
    return recording.finished(returncode=attempt.returncode, timed_out=attempt.timed_out)


class _Recording:
    """Reports output as it comes and keeps the ends of it."""

    def __init__(self, capture_size: int, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._streams: dict[StreamName, HeadTail] = {"stdout": HeadTail(capture_size), "stderr": HeadTail(capture_size)}
        self._both = HeadTail(capture_size)
        self._started = time.monotonic()

    async def take(self, name: StreamName, chunk: bytes) -> None:
        self._streams[name].feed(chunk)
        self._both.feed(chunk)
        reported = self._on_output(name, chunk)
        if reported is not None:
            await reported

    def finished(
        self, returncode: int | None = None, timed_out: bool = False, spawn_error: str | None = None
    ) -> Finished:
        return Finished(
            stdout=self._streams["stdout"].captured(),
            stderr=self._streams["stderr"].captured(),
            aggregated=self._both.captured(),
            duration=time.monotonic() - self._started,
            exit_code=returncode if returncode is not None and returncode >= 0 and not timed_out else None,
            signal=-returncode if returncode is not None and returncode < 0 else None,
            timed_out=timed_out,
            spawn_error=spawn_error,
        )


class _Attempt:
    """One command on its way: its process, its pipes and its deadlines."""

    def __init__(self, command: Command) -> None:
        self._loop = asyncio.get_running_loop()
        self._command = command
        self.returncode: int | None = None
        self.timed_out = False
        self.over = asyncio.Event()
        """Set when the command is reaped, or was killed and cannot be waited for any longer."""
        self._stop_at = math.inf
        self._timers: list[asyncio.TimerHandle] = []

    async def start(self, starter: Starter) -> None:
        """Start it. Raises `OSError` or `ValueError` where that cannot be done."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            (out, out_end), (err, err_end) = (_pipe(ours, theirs) for _ in range(2))
            self._running = await starter.start(self._command, out_end, err_end, self._ended)
            ours.pop_all()
        self._pipes = Pipes({out: "stdout", err: "stderr"})
        self._after(self._command.timeout, self._expire)
        if self.over.is_set():
            self._stop_soon()

    async def relay(self, recording: _Recording) -> None:
        """Hand on all output until the pipes end, or a moment after the command has.

        What was in the pipes when the command ended is read however long that takes; what descendants go on writing
        is not.
        """
        late = 0
        while late <= 2 * _PIPE_CAPACITY:
            piece = self._pipes.read()
            too_late = self._loop.time() >= self._stop_at
            if piece is not None:
                late += len(piece[1]) if too_late else 0
                await recording.take(*piece)
                await asyncio.sleep(0)  # a command that never stops writing must not keep the loop to itself
            elif too_late or not self._pipes.open:
                return
            else:
                await self._pipes.wait()

    async def close(self) -> None:
        """Leave nothing behind: kill the group where the command still runs, and give up the pipes."""
        try:
            if not self.over.is_set():
                self._running.kill()
                self._after(DEATH_SECONDS, self.over.set)
                await self.over.wait()
        finally:
            self._give_up()

    def _give_up(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._pipes.close()

    def _expire(self) -> None:
        if not self.over.is_set():
            self.timed_out = True
            self._running.kill()
            self._stop_soon()
            self._after(DEATH_SECONDS, self.over.set)

    def _ended(self, ending: Ending) -> None:
        self.returncode = ending.returncode
        self.over.set()
        if self._timers:
            self._stop_soon()

    def _stop_soon(self) -> None:
        self._stop_at = min(self._stop_at, self._loop.time() + DRAIN_SECONDS)
        self._after(DRAIN_SECONDS, self._pipes.stir)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, call))


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


def _explain(command: Command, error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    if error.filename == command.cwd:
        return f"cannot enter the directory {command.cwd}: {reason}"
    return f"cannot run {command.argv[0]}: {reason}"


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
