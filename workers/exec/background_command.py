"""A command that may outlive the call that started it, and its output since the last read.

It is read continuously, so that it never waits for a reader, and memory stays bounded whatever it writes.
"""

import asyncio
import signal
from typing import Final

from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.exec.capture import Captured, HeadTail
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun
from greenroom.workers.exec.process import Finished, OnOutput, Recording
from greenroom.workers.exec.starter import CommandStarter

UNREAD_SIZE: Final = 1024 * 1024
"""Maximum bytes kept of unread output."""


class BackgroundCommand:
    """To be started once and closed at the end. Belongs to the running loop."""

    def __init__(self, command: CommandSpec, on_output: OnOutput) -> None:
        """`on_output` is called with each read; an awaitable that it returns delays the reading, and so the command."""
        self.has_terminal = command.terminal
        self._attempt = CommandRun(command)
        self._recording = Recording(command.capture_size, on_output)
        self._unread = HeadTail(UNREAD_SIZE)
        self._reading: asyncio.Task[None]

    async def start(self, starter: CommandStarter) -> None:
        """Start it. Raises what `starter` raises."""
        await self._attempt.start(starter)
        self._reading = asyncio.get_running_loop().create_task(self._read(), name="open command")

    async def wait(self) -> Finished:
        """Wait until it has ended, or is closed, and return how. Raises what `on_output` has raised."""
        await asyncio.wait((self._reading,))
        if not self._reading.cancelled():
            self._reading.result()
        return self._recording.finished(self._attempt.returncode)

    def take_output(self) -> Captured:
        """Return the output since the last call."""
        taken, self._unread = self._unread.captured(), HeadTail(UNREAD_SIZE)
        return taken

    async def type(self, text: str) -> None:
        """Write to its terminal, waiting while that is full."""
        await self._attempt.type(text.encode(errors="replace"))

    def interrupt(self) -> None:
        """Send Ctrl-C."""
        self._attempt.send(signal.SIGINT)

    async def close(self) -> None:
        """Kill it where it still runs, with all its descendants, and wait for its end."""
        self._reading.cancel()
        await asyncio.wait((self._reading,))

    async def _read(self) -> None:
        try:
            await self._attempt.relay(self._take)
            await self._attempt.over.wait()
        finally:
            await self._attempt.close()

    async def _take(self, name: StreamName, chunk: bytes) -> None:
        self._unread.feed(chunk)
        await self._recording.take(name, chunk)
