"""A command of a client that is under way: what is written to it, and what it writes."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.app_server.commands import CommandExecOutputDelta
from greenroom.protocol.internal.jobs import CommandExec, CommandInput, CommandOutput, CommandReport, WindowSize
from greenroom.protocol.jsonrpc import INVALID_REQUEST, encode
from greenroom.supervisor.conversations.jobs.jobs import Job, Jobs
from greenroom.supervisor.frontend.request_params import RefusedError

Tell: TypeAlias = Callable[[CommandExecOutputDelta], None]

_read_report: Final = msgspec.json.Decoder(CommandReport).decode


class OpenCommand:
    """To be attached to its job, and closed when that has ended."""

    def __init__(self, process_id: str, wanted: CommandExec, tell: Tell) -> None:
        self._process_id = process_id
        self._wanted = wanted
        self._tell = tell
        self._jobs: Jobs | None = None
        self._job: Job | None = None
        self._input_ended = False
        self._turn = asyncio.Lock()
        """Held by the input that the command has still to take: further input waits here and not in its worker."""
        self._numbers = 0
        self._taken: dict[int, asyncio.Future[None]] = {}

    def attach(self, jobs: Jobs, job: Job) -> None:
        """Set the job that runs it."""
        self._jobs, self._job = jobs, job

    def report(self, report: bytes) -> None:
        """Handle a report of the job."""
        match _read_report(report):
            case CommandOutput() as output:
                delta = CommandExecOutputDelta(
                    process_id=self._process_id,
                    stream=output.stream,
                    delta_base64=b64encode(output.data).decode(),
                    cap_reached=output.is_capped,
                )
                self._tell(delta)
            case taken:
                waiting = self._taken.pop(taken.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)

    async def write(self, data: bytes, *, is_last: bool) -> None:
        """Write to its input, and return when it has taken that. Raises `RefusedError`."""
        if not self._wanted.reads_input and self._wanted.terminal is None:
            raise RefusedError(INVALID_REQUEST, "the command was started without `streamStdin`")
        if self._input_ended:
            raise RefusedError(INVALID_REQUEST, "the input of the command is closed")
        self._input_ended = is_last
        async with self._turn:
            await self._put(data=data, is_last=is_last)

    async def resize(self, size: WindowSize) -> None:
        """Set the size of its terminal. Raises `RefusedError`."""
        if self._wanted.terminal is None:
            raise RefusedError(INVALID_REQUEST, "the command has no terminal")
        await self._put(size=size)

    def terminate(self) -> None:
        """Kill it."""
        if self._jobs is not None and self._job is not None:
            self._jobs.stop(self._job)

    def close(self) -> None:
        """Refuse what has not been taken, as the command has ended."""
        self._job = None
        for waiting in self._taken.values():
            if not waiting.done():
                waiting.set_exception(self._over())
        self._taken.clear()

    async def _put(self, data: bytes = b"", is_last: bool = False, size: WindowSize | None = None) -> None:
        if self._jobs is None or self._job is None:
            raise self._over()
        self._numbers += 1
        number = self._numbers
        taken = self._taken[number] = asyncio.get_running_loop().create_future()
        self._jobs.tell(self._job, encode(CommandInput(number=number, data=data, is_last=is_last, size=size)))
        await taken

    def _over(self) -> RefusedError:
        return RefusedError(INVALID_REQUEST, f"command {self._process_id!r} is no longer running")
