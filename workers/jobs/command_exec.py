"""Runs a client's command outside all conversations, in the sandbox: with input, a terminal and output as it comes."""

import asyncio
import contextlib
import math
from typing import Final

import msgspec

from greenroom.protocol.internal.jobs import (
    CommandExec,
    CommandExecResult,
    CommandInput,
    CommandOutput,
    InputTaken,
    StreamName,
)
from greenroom.workers.exec.command import TERMINAL_SIZE, CommandSpec
from greenroom.workers.exec.command_run import CommandRun, explain_failure
from greenroom.workers.exec.environment import command_environment
from greenroom.workers.exec.starter import CommandStarter
from greenroom.workers.job_context import JobChannel, JobError, Setting
from greenroom.workers.jobs.client_sandbox import client_confinement, client_settings, client_starter

TIMED_OUT: Final = 124
"""The exit code of a command that took too long, as of timeout(1)."""
KILLED: Final = 128
"""Added to the number of the signal that has ended a command, as shells do."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of each stream that a result may have, where the client has set no limit."""

_encode: Final = msgspec.json.Encoder().encode
_read_input: Final = msgspec.json.Decoder(CommandInput).decode


async def run(params: bytes, setting: Setting) -> bytes:
    """Return how a command has ended. Raises `JobError`, `ConfigError` or `SandboxUnavailableError`."""
    request = msgspec.json.decode(params, type=CommandExec)
    settings = client_settings(setting, request.cwd, request.sandbox_policy)
    environment = command_environment(settings)
    for name, value in request.environment.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    size = request.terminal
    command = CommandSpec(
        request.command,
        settings.cwd,
        environment,
        timeout=math.inf if request.timeout_ms is None else request.timeout_ms / 1000,
        terminal=size is not None,
        terminal_size=TERMINAL_SIZE if size is None else (size.rows, size.columns),
        reads_input=request.reads_input,
    )
    confinement = client_confinement(settings, setting, environment.get("TMPDIR", ""))
    async with client_starter(confinement) as starter:
        return _encode(await _Session(command, request, setting.channel).run(starter, setting.stopped))


class _Session:
    """One command, from its start to its end."""

    def __init__(self, command: CommandSpec, request: CommandExec, channel: JobChannel) -> None:
        self._command = command
        self._channel = channel
        self._run = CommandRun(command)
        self._output = _Output(request, channel)
        self._input: asyncio.Queue[CommandInput] = asyncio.Queue()
        """Input that the command has not taken; the supervisor sends the next one when the last has been."""

    async def run(self, starter: CommandStarter, stopped: asyncio.Event) -> CommandExecResult:
        """Run it to its end; it is killed when `stopped` is set."""
        try:
            await self._run.start(starter)
        except (OSError, ValueError) as error:
            raise JobError(explain_failure(self._command, error)) from None
        helpers = [asyncio.create_task(work) for work in (self._obey(), self._type(), self._stop_with(stopped))]
        try:
            await self._run.relay(self._output.take)
            await self._run.over.wait()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)
            await self._run.close()
        return CommandExecResult(
            exit_code=self._exit_code(), stdout=self._output.text("stdout"), stderr=self._output.text("stderr")
        )

    async def _obey(self) -> None:
        """Resize the terminal at once, also while the command takes no input, and leave input to `_type`."""
        while True:
            wanted = _read_input(await self._channel.told.get())
            if wanted.size is not None:
                with contextlib.suppress(OSError):  # nothing holds the terminal: the command ends
                    self._run.resize(wanted.size.rows, wanted.size.columns)
            if wanted.data or wanted.is_last:
                self._input.put_nowait(wanted)
            else:
                self._channel.report(_encode(InputTaken(number=wanted.number)))

    async def _type(self) -> None:
        """Pass on input, in order."""
        while True:
            wanted = await self._input.get()
            await self._run.type(wanted.data)
            if wanted.is_last:
                await self._run.end_input()
            self._channel.report(_encode(InputTaken(number=wanted.number)))

    async def _stop_with(self, stopped: asyncio.Event) -> None:
        await stopped.wait()
        self._run.kill()

    def _exit_code(self) -> int:
        code = self._run.returncode
        if self._run.timed_out:
            return TIMED_OUT
        if code is None:  # it was killed and could not be reaped in time
            return KILLED + 9
        return code if code >= 0 else KILLED - code


class _Output:
    """The output of a command, as far as its client wants it: reported as it comes, or kept. The rest is dropped."""

    def __init__(self, request: CommandExec, channel: JobChannel) -> None:
        self._channel = channel
        self._streams = request.streams_output
        self._cap = request.output_cap
        self._kept: dict[StreamName, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._seen: dict[StreamName, int] = {"stdout": 0, "stderr": 0}
        self._capped: set[StreamName] = set()

    async def take(self, stream: StreamName, chunk: bytes) -> None:
        """Take the next piece of a stream, and wait while too much waits for the client. Raises `JobError`."""
        if stream in self._capped:
            return
        if self._cap is not None:
            chunk = chunk[: self._cap - self._seen[stream]]
        self._seen[stream] += len(chunk)
        if self._seen[stream] == self._cap:
            self._capped.add(stream)
        if self._streams:
            output = CommandOutput(stream=stream, data=chunk, is_capped=stream in self._capped)
            self._channel.report(_encode(output))
            await self._channel.drain()
            return
        self._kept[stream] += chunk
        if len(self._kept[stream]) > LARGEST:
            raise JobError(f"the command has written more than {LARGEST >> 20} MiB; let its output be streamed")

    def text(self, stream: StreamName) -> str:
        """Return what was kept of a stream."""
        return self._kept[stream].decode(errors="replace")
