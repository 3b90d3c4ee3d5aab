"""One run of a command from start to end: its process, its pipes or its terminal, and its deadlines."""

import asyncio
import contextlib
import math
import os
import signal
import termios
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from greenroom.protocol.internal.jobs import StreamName
from greenroom.runtime.process.child import ChildExit
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.pipes import Pipes
from greenroom.workers.exec.starter import CommandStarter, Running

TakeOutput: TypeAlias = Callable[[StreamName, bytes], Awaitable[None]]
"""Handles one read of output; until it returns, nothing more is read."""

DRAIN_SECONDS: Final = 0.1
"""How long the pipes may stay open after the command has ended, or was killed."""
DEATH_SECONDS: Final = 1.0
"""How long a killed command may take to die before the call no longer waits for it."""
END_OF_INPUT: Final = b"\x04\x04"
"""What ends the input of a command at a terminal (termios(3), `VEOF`): the first may only flush an unfinished line."""
_PIPE_CAPACITY: Final = 64 * 1024


class CommandRun:
    """To be started once, relayed, and closed. Belongs to the running loop."""

    def __init__(self, command: CommandSpec) -> None:
        self._loop = asyncio.get_running_loop()
        self._command = command
        self.returncode: int | None = None
        self.timed_out = False
        self.over = asyncio.Event()
        """Set when the command is reaped, or was killed and did not end in time."""
        self._stop_at = math.inf
        self._timers: list[asyncio.TimerHandle] = []
        self._running: Running
        self._pipes: Pipes
        self._relayable = False
        self._keyboard: int | None = None
        """Writes to the command's input: a pipe, or a second descriptor of the terminal's master, as reading closes its
        own at the command's end."""
        self._writable = asyncio.Event()

    async def start(self, starter: CommandStarter) -> None:
        """Start it. Raises `OSError` or `ValueError` where that cannot be done. Its time runs from here."""
        begun_at = self._loop.time()
        with contextlib.ExitStack() as parent_ends, contextlib.ExitStack() as child_ends:
            names, (out_end, err_end) = _streams(self._command, parent_ends, child_ends)
            in_end = None
            if self._command.terminal:
                self._keyboard = os.dup(next(iter(names)))
                parent_ends.callback(os.close, self._keyboard)
            elif self._command.reads_input:
                self._keyboard, in_end = _owned(os.pipe()[::-1], parent_ends, child_ends)
            if self._keyboard is not None:
                os.set_blocking(self._keyboard, False)
            self._running = await starter.start(self._command, out_end, err_end, self._ended, in_end)
            parent_ends.pop_all()
        self._pipes = Pipes(names)
        self._relayable = True
        if math.isfinite(self._command.timeout):
            self._after(begun_at + self._command.timeout - self._loop.time(), self._expire)
        if self.over.is_set():
            self._stop_soon()

    async def relay(self, take: TakeOutput) -> None:
        """Pass on all output until the pipes end, or shortly after the command has ended.

        Output that was in the pipes when the command ended is read completely; later output of descendants is not.
        """
        late = 0
        while late <= 2 * _PIPE_CAPACITY:
            piece = self._pipes.read()
            too_late = self._loop.time() >= self._stop_at
            if piece is not None:
                late += len(piece[1]) if too_late else 0
                await take(*piece)
                await asyncio.sleep(0)  # a command that never stops writing must not occupy the loop
            elif too_late or not self._pipes.open:
                return
            else:
                await self._pipes.wait()

    async def type(self, data: bytes) -> None:
        """Write to the command's input, waiting while it is full. What the command no longer reads is dropped."""
        rest = memoryview(data)  # not copied with each write
        while rest and self._keyboard is not None:
            try:
                rest = rest[os.write(self._keyboard, rest) :]
            except BlockingIOError:
                await self._until_writable(self._keyboard)
            except OSError:  # nothing holds the other end
                return

    async def end_input(self) -> None:
        """Let the command read the end of its input, behind what has been typed."""
        if self._command.terminal:
            await self.type(END_OF_INPUT)
        else:
            self._close_keyboard()

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal, of which the kernel tells the command (`SIGWINCH`)."""
        if self._command.terminal and self._keyboard is not None:
            termios.tcsetwinsize(self._keyboard, (rows, columns))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command's process group. Harmless when the command has ended."""
        if not self.over.is_set():
            self._running.send(number)

    def kill(self) -> None:
        """Kill it with all its descendants, without waiting; harmless when it has ended."""
        if not self.over.is_set():
            self._running.kill()
            self._stop_soon()
            self._after(DEATH_SECONDS, self.over.set)

    async def close(self) -> None:
        """Clean up: kill the group where the command still runs, and close the pipes."""
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
        self._close_keyboard()

    def _close_keyboard(self) -> None:
        if self._keyboard is not None:
            self._loop.remove_writer(self._keyboard)
            os.close(self._keyboard)
            self._keyboard = None
            self._writable.set()

    async def _until_writable(self, keyboard: int) -> None:
        """Return when the terminal accepts input, or is closed."""
        self._writable.clear()
        self._loop.add_writer(keyboard, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            if keyboard == self._keyboard:
                self._loop.remove_writer(keyboard)

    def _expire(self) -> None:
        if not self.over.is_set():
            self.timed_out = True
            self.kill()

    def _ended(self, ending: ChildExit) -> None:
        self.returncode = ending.returncode
        self.over.set()
        if self._relayable:
            self._stop_soon()

    def _stop_soon(self) -> None:
        self._stop_at = min(self._stop_at, self._loop.time() + DRAIN_SECONDS)
        self._after(DRAIN_SECONDS, self._pipes.stir)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(seconds, call))


def explain_failure(command: CommandSpec, error: OSError | ValueError) -> str:
    """Return why a command could not be started."""
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    if error.filename == command.cwd:
        return f"cannot enter the directory {command.cwd}: {reason}"
    return f"cannot run {command.argv[0]}: {reason}"


def _streams(
    command: CommandSpec, parent_ends: contextlib.ExitStack, child_ends: contextlib.ExitStack
) -> tuple[dict[int, StreamName], tuple[int, int]]:
    """Open the reading ends, and the ends that become the command's output and error streams."""
    if command.terminal:
        screen, end = _owned(os.openpty(), parent_ends, child_ends)
        termios.tcsetwinsize(end, command.terminal_size)
        return {screen: "stdout"}, (end, end)
    (out, out_end), (err, err_end) = (_owned(os.pipe(), parent_ends, child_ends) for _ in range(2))
    return {out: "stdout", err: "stderr"}, (out_end, err_end)


def _owned(
    pair: tuple[int, int], parent_ends: contextlib.ExitStack, child_ends: contextlib.ExitStack
) -> tuple[int, int]:
    parent_ends.callback(os.close, pair[0])
    child_ends.callback(os.close, pair[1])
    return pair
