"""Repairs invalid messages from a server over HTTP, as `greenroom.workers.mcp.transport.repair` does for pipes."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from greenroom.workers.mcp.transport.interface import MESSAGE_LIMIT
from greenroom.workers.mcp.transport.repair import repaired

_DATA: Final = b"data:"


def repair(response: httpx2.Response) -> None:
    """Pass the body of a response through the repair, if it is of a type that contains messages."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
    stream = response.stream
    if is_plain and kind in _KINDS and isinstance(stream, httpx2.AsyncByteStream):
        response.stream = _KINDS[kind](stream)


class _Whole(httpx2.AsyncByteStream):
    """A body that is one message."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = bytearray()
        async for chunk in self._stream:
            body += chunk
            if len(body) > MESSAGE_LIMIT:
                raise httpx2.ReadError(f"it answered with more than {MESSAGE_LIMIT} bytes")
        yield repaired(bytes(body))

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Lines(_Whole):
    """An event stream with one message per line."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._stream:
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                yield b"".join(_line(line) + b"\n" for line in lines)
            if len(rest) > MESSAGE_LIMIT:
                yield rest  # the client has its own limit, and reports it
                rest = b""
        if rest:
            yield _line(rest)


def _line(line: bytes) -> bytes:
    message = line.removeprefix(_DATA).strip()
    return _DATA + b" " + repaired(message) if line.startswith(_DATA) and message else line


_KINDS: Final = {"application/json": _Whole, "text/event-stream": _Lines}
