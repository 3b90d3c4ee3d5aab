"""The methods about commands outside any thread: run one, write to it, resize its terminal, kill it."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.protocol.app_server import commands as wire
from greenroom.protocol.internal.jobs import CommandExec, WindowSize
from greenroom.protocol.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, Request
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.commands.command_request import command_job
from greenroom.supervisor.frontend.app_server.commands.open_command import OpenCommand
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

MOST: Final = 64
"""Commands with a `processId` that one client has at a time."""


class CommandMethods:
    """These methods on one connection. A command ends with the connection that has started it."""

    def __init__(self, channel: AppServerChannel, jobs: Jobs) -> None:
        self._channel = channel
        self._jobs = jobs
        self._open: dict[str, OpenCommand] = {}
        self.long: Mapping[str, AnswerMethod] = {"command/exec": self._exec}
        """The methods whose answers may take as long as a command."""
        self.methods: Mapping[str, AnswerMethod] = {
            "command/exec/write": self._write,
            "command/exec/resize": self._resize,
            "command/exec/terminate": self._terminate,
        }

    async def _exec(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.CommandExecParams)
        params = msgspec.structs.replace(params, cwd=self._channel.directory(params.cwd))
        job = command_job(params)
        if params.process_id is None:
            return await self._run(job, OpenCommand("", job, self._channel.tell))
        command = self._enter(params.process_id, OpenCommand(params.process_id, job, self._channel.tell))
        try:
            return await self._run(job, command)
        finally:
            del self._open[params.process_id]

    def _enter(self, process_id: str, command: OpenCommand) -> OpenCommand:
        if process_id in self._open:
            raise RefusedError(INVALID_REQUEST, f"a command with the `processId` {process_id!r} is running")
        if len(self._open) >= MOST:
            raise RefusedError(INVALID_REQUEST, f"{MOST} commands of this client are running already")
        self._open[process_id] = command
        return command

    async def _run(self, params: CommandExec, command: OpenCommand) -> RequestAnswer:
        job = self._jobs.begin(params, self._channel, command.report)
        command.attach(self._jobs, job)
        try:
            return RequestAnswer(await self._jobs.wait(job))
        except JobFailedError as error:
            raise RefusedError(INVALID_REQUEST, f"exec failed: {error}") from None
        finally:
            command.close()

    async def _write(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.CommandExecWriteParams)
        if params.delta_base64 is None and not params.close_stdin:
            raise RefusedError(INVALID_PARAMS, "command/exec/write: neither `deltaBase64` nor `closeStdin`")
        try:
            data = b64decode(params.delta_base64 or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise RefusedError(INVALID_PARAMS, f"command/exec/write: invalid `deltaBase64`: {error}") from None
        await self._command(params.process_id).write(data, is_last=params.close_stdin)
        return RequestAnswer()

    async def _resize(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.CommandExecResizeParams)
        size = WindowSize(params.size.rows, params.size.cols)
        await self._command(params.process_id).resize(size)
        return RequestAnswer()

    async def _terminate(self, request: Request) -> RequestAnswer:
        self._command(decode(request, wire.CommandExecTerminateParams).process_id).terminate()
        return RequestAnswer()

    def _command(self, process_id: str) -> OpenCommand:
        command = self._open.get(process_id)
        if command is None:
            raise RefusedError(INVALID_REQUEST, f"no command with the `processId` {process_id!r} is running")
        return command
