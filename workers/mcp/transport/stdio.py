"""Runs a server as a child process and speaks with it over its pipes, one JSON message a line.

Promises: when the streams are left, in whatever way, the program and its whole process group are gone within a second.
The program is asked to exit by the end of its input, then by SIGTERM, and is killed at last.
"""

import asyncio
import logging
import math
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import IO, Final, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import Transport as Streams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from greenroom.runtime.log.log import redact
from greenroom.runtime.process.child import ChildExit, watch
from greenroom.workers.exec.process import signal_name
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.mcp.transport.interface import MESSAGE_LIMIT
from greenroom.workers.mcp.transport.launch import ServerProgram, StartupError
from greenroom.workers.mcp.transport.repair import repaired

log = logging.getLogger(__name__)

LEAVE_SECONDS: Final = 0.3
"""How long a program may take to end after its input has."""
TERM_SECONDS: Final = 0.4
"""How long it may take after SIGTERM."""
DEATH_SECONDS: Final = 0.3
"""How long a killed program may take to be gone before it is given up."""
_LAST_WORDS: Final = 4096
_SHOWN: Final = 300

_ToServer: TypeAlias = MemoryObjectReceiveStream[SessionMessage]
_ToClient: TypeAlias = MemoryObjectSendStream[SessionMessage | Exception]


class ServerProcessTransport:
    """A program that speaks on its standard input and output."""

    pauses: tuple[float, ...] = ()
    may_pass = False
    expired = False
    refusal: str | None = None

    def __init__(self, program: ServerProgram, groups: ProcessGroups) -> None:
        """`groups` can kill what runs when there is no time to leave properly."""
        self._program = program
        self._groups = groups
        self._child: _Child | None = None

    async def gone(self) -> None:
        if self._child is not None:
            await self._child.gone()

    def open(self) -> Streams:
        return self._open()

    async def cause(self) -> str | None:
        return None if self._child is None else await self._child.cause()

    @asynccontextmanager
    async def _open(
        self,
    ) -> AsyncIterator[
        tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
    ]:
        self._child = child = _Child(self._program, self._groups)
        incoming, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        # Without a limit, so that no caller waits for a program that does not read, not even one that cancels a call.
        write_stream, outgoing = anyio.create_memory_object_stream[SessionMessage](math.inf)
        try:
            await child.connect(outgoing, incoming)
            yield read_stream, write_stream
        finally:
            for stream in (read_stream, write_stream):
                stream.close()
            try:
                await child.stop()
            finally:
                for other in (incoming, outgoing):
                    other.close()


class _Child:
    """The program while it runs."""

    def __init__(self, program: ServerProgram, groups: ProcessGroups) -> None:
        self._groups = groups
        self._process = process = _start(program)
        self.ended = asyncio.Event()
        self._deaf = asyncio.Event()
        """Set once it says nothing more, or takes nothing more."""
        self._stopping = False
        self._left_alone: int | None = None
        """How it ended, if that was before we wanted it."""
        self._fault: str | None = None
        """What it did that ended the connection."""
        self._last_words = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._input: asyncio.WriteTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        """Kept, for it closes its transport once there is no reference to it."""
        self._outputs: list[asyncio.BaseTransport] = []
        groups.add(process.pid)
        try:
            watch(process.pid, self._end)
        except OSError:
            groups.kill(process.pid)
            process.wait()
            groups.release(process.pid)
            raise

    async def connect(self, outgoing: _ToServer, incoming: _ToClient) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._writer = writer = await self._write_pipe(process.stdin)
        reader, errors = await self._read_pipe(process.stdout), await self._read_pipe(process.stderr)
        self._run(self._write(outgoing, writer, incoming), self._read(reader, incoming), self._listen(errors))

    async def cause(self) -> str | None:
        """Say what the program did wrong. A death that is under way is given a moment to be known."""
        if self._fault is not None:
            return self._fault
        await self._ends_within(DEATH_SECONDS)
        if self._left_alone is None:
            return None
        code = self._left_alone
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal_name(-code)}"
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        return f"its program {how}" + (f": {redact(lines[-1].strip())[:_SHOWN]}" if lines else "")

    async def gone(self) -> None:
        """Wait until nothing can be expected any longer; how it ended is known then, if it did."""
        await self._deaf.wait()
        await self._ends_within(DEATH_SECONDS)

    async def stop(self) -> None:
        self._stopping = True
        pid = self._process.pid
        try:
            if self._input is not None:
                self._input.close()
            if not await self._ends_within(LEAVE_SECONDS):
                # The leader is not reaped before `ended` is set, so the number is still that of the leader.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGTERM)
                await self._ends_within(TERM_SECONDS)
        finally:
            self._groups.kill(pid)
            await self._ends_within(DEATH_SECONDS)
            await self._hang_up()

    async def _hang_up(self) -> None:
        if self._input is not None and (self._input.get_write_buffer_size() or not self._input.is_closing()):
            self._input.abort()
        for transport in self._outputs:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        return self.ended.is_set()

    def _end(self, ending: ChildExit) -> None:
        self._process.returncode = ending.returncode
        self._left_alone = None if self._stopping else ending.returncode
        self._groups.release(ending.pid)
        self.ended.set()
        self._deaf.set()

    def _run(self, *works: Awaitable[None]) -> None:
        self._tasks += [asyncio.ensure_future(work) for work in works]

    async def _write_pipe(self, pipe: IO[bytes]) -> asyncio.StreamWriter:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
        self._input = transport
        return asyncio.StreamWriter(transport, protocol, None, loop)

    async def _read_pipe(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=MESSAGE_LIMIT)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self._outputs.append(transport)
        return reader

    async def _read(self, reader: asyncio.StreamReader, incoming: _ToClient) -> None:
        """Hand on messages until the program says no more, and read on without a listener, so that it can end."""
        listening = True
        try:
            while line := await reader.readline():
                message = _message(line)
                if message is None or not listening:
                    await asyncio.sleep(0)  # a program that never stops writing must not keep the loop to itself
                    continue
                try:
                    await incoming.send(message)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    listening = False
        except ValueError:
            self._fault = f"its program wrote a line of more than {MESSAGE_LIMIT} bytes"
        except OSError as error:
            self._fault = f"its program cannot be read from: {error}"
        finally:
            incoming.close()
            self._deaf.set()

    async def _write(self, outgoing: _ToServer, writer: asyncio.StreamWriter, incoming: _ToClient) -> None:
        """Send messages until there are none any more. A program that no longer reads counts as gone."""
        try:
            async for message in outgoing:
                writer.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                await writer.drain()
        except (OSError, anyio.ClosedResourceError):
            incoming.close()
            self._deaf.set()

    async def _listen(self, errors: asyncio.StreamReader) -> None:
        while chunk := await errors.read(_LAST_WORDS):
            self._last_words = (self._last_words + chunk)[-_LAST_WORDS:]


def _start(program: ServerProgram) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env=dict(program.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, OSError) and error.filename == program.cwd:
            raise StartupError(f"cannot enter the directory {program.cwd}: {reason}") from error
        raise StartupError(f"cannot run {program.argv[0]}: {reason}") from error


def _message(line: bytes) -> SessionMessage | None:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(repaired(line), by_name=False))
    except ValueError:
        log.debug("an MCP server wrote a line of %d bytes that is no message", len(line))
        return None
