"""Runs one command of the model from spawn to end. Failures are part of the result, never raised.

Promises: the command leads a session and process group of its own, and a timeout or a cancellation kills that whole
group. The call returns within a fraction of a second after the command itself has ended, whatever its descendants hold
open. Memory stays bounded whatever it writes.

A death signal for the parent's death (`PR_SET_PDEATHSIG`) is not used: it would need code in the forked child, which
would make the start slower (no vfork), and would reach the leader only. The subreaper above this process kills what it
leaves, see `LiveGroups` and `greenroom.runtime.process.hardening.adopt_orphans`.
"""

import signal
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from greenroom.protocol.internal.jobs import StreamName
from greenroom.workers.exec.capture import Captured, HeadTail
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun, explain_failure
from greenroom.workers.exec.starter import CommandStarter

OnOutput: TypeAlias = Callable[[StreamName, bytes], Awaitable[None] | None]


class Finished(msgspec.Struct, frozen=True):
    """How a command ended, and what it wrote."""

    stdout: Captured
    stderr: Captured
    aggregated: Captured
    """Both streams in the order in which they were read."""
    duration: float
    """Seconds."""
    exit_code: int | None = None
    """`None` where it has none: killed, timed out, not started."""
    signal: int | None = None
    """The signal that ended it."""
    timed_out: bool = False
    spawn_error: str | None = None
    """Why it was not started."""


async def run_to_end(command: CommandSpec, on_output: OnOutput, starter: CommandStarter) -> Finished:
    """Run a command and report each read of its output once, in the order read.

    An `on_output` that returns an awaitable delays the reading until that is done, and so the command. When this call
    is cancelled, or `on_output` raises, the command is killed before the exception is passed on.
    """
    recording = Recording(command.capture_size, on_output)
    attempt = CommandRun(command)
    try:
        await attempt.start(starter)
    except (OSError, ValueError) as error:
        return recording.finished(spawn_error=explain_failure(command, error))
    try:
        await attempt.relay(recording.take)
        await attempt.over.wait()
    finally:
        await attempt.close()
    return recording.finished(returncode=attempt.returncode, timed_out=attempt.timed_out)


class Recording:
    """Reports output as it arrives and keeps the two ends of each stream and of both together."""

    def __init__(self, capture_size: int, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._streams: dict[StreamName, HeadTail] = {"stdout": HeadTail(capture_size), "stderr": HeadTail(capture_size)}
        self._both = HeadTail(capture_size)
        self._started = time.monotonic()

    async def take(self, name: StreamName, chunk: bytes) -> None:
        """Handle the next read, and wait for the callback where it is asynchronous."""
        self._streams[name].feed(chunk)
        self._both.feed(chunk)
        reported = self._on_output(name, chunk)
        if reported is not None:
            await reported

    def finished(
        self, returncode: int | None = None, timed_out: bool = False, spawn_error: str | None = None
    ) -> Finished:
        """Return the recorded output with the outcome of the command."""
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


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
