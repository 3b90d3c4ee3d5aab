"""A minimal MCP client: one request at a time over the pipes of a child process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

LONGEST_LINE: Final = 64 * 1024 * 1024
_METHOD_NOT_FOUND: Final = -32601
_ABSENT: Final = msgspec.Raw(b"")


class IncomingMessage(msgspec.Struct):
    """One line from the server."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = _ABSENT
    result: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


class DemoCallError(Exception):
    """The server answered with a JSON-RPC error, or ended without an answer."""


class McpClient:
    """A client of one server. Requests are answered in order."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        self._process = process
        self._timeout = timeout_s
        self._last_id = 0

    @property
    def pid(self) -> int:
        """The pid of the server."""
        return self._process.pid

    async def request(
        self,
        method: str,
        params: Mapping[str, object],
        notified: Callable[[str, msgspec.Raw], None] | None = None,
    ) -> bytes:
        """Send a request and return its result as JSON; `notified` is called with each notification that comes first.

        Raises `DemoCallError`, and `TimeoutError` when the answer takes longer than the client's patience.
        """
        self._last_id += 1
        await self._send({"id": self._last_id, "method": method, "params": params})
        async with asyncio.timeout(self._timeout):
            while True:
                envelope = await self._next()
                if envelope.method is None and envelope.id == self._last_id:
                    return _result(method, envelope)
                if envelope.method is not None and envelope.id is not None:
                    refusal = {"code": _METHOD_NOT_FOUND, "message": f"this client does not know {envelope.method}"}
                    await self._send({"id": envelope.id, "error": refusal})
                elif envelope.method is not None and notified is not None:
                    notified(envelope.method, envelope.params)

    async def notify(self, method: str) -> None:
        """Send a notification."""
        await self._send({"method": method})

    async def close(self) -> int:
        """Close the server's standard input, wait for its exit and return its exit code. Raises `TimeoutError`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(self._timeout):
            return await self._process.wait()

    async def _send(self, fields: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"jsonrpc": "2.0", **fields}) + b"\n")
        with suppress(ConnectionError):  # that the server is gone is noticed when its answer is missing
            await self._process.stdin.drain()

    async def _next(self) -> IncomingMessage:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise DemoCallError("the server closed its standard output")
        return msgspec.json.decode(line, type=IncomingMessage)


@asynccontextmanager
async def connect(
    command: Sequence[str], environment: Mapping[str, str], cwd: str, timeout_s: float = 60.0
) -> AsyncIterator[McpClient]:
    """Start a server and return a client for it. The server has always exited when this returns or raises.

    Raises `DemoCallError` if it cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, env=dict(environment), cwd=cwd, limit=LONGEST_LINE
        )
    except OSError as error:
        raise DemoCallError(f"the server cannot be started: {error}") from error
    try:
        yield McpClient(process, timeout_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _result(method: str, envelope: IncomingMessage) -> bytes:
    if not bytes(envelope.result):
        raise DemoCallError(f"{method} was refused: {bytes(envelope.error).decode()}")
    return bytes(envelope.result)
