"""The official client's transport with an ear on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TextIO

import anyio
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.message import SessionMessage

Received = SessionMessage | Exception
GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)
"""What sending raises once the other side has left, as it does in the middle of a last message."""


TIMEOUT = 20.0
"""Seconds to wait for a message."""


class Tap:
    """Hears every message of one connection in both directions, before either side does anything with it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.unreadable: list[Exception] = []
        self._heard = anyio.Event()

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until such a message has been received: an application is not told of what comes after it gave up."""
        with anyio.fail_after(TIMEOUT):
            while not any(map(wanted, self.received)):
                await self._heard.wait()

    @asynccontextmanager
    async def transport(self, server: StdioServerParameters, log: TextIO) -> AsyncIterator[tuple[Any, Any]]:
        """Start a server; yield the streams that `mcp.Client` wants."""
        to_client, for_client = anyio.create_memory_object_stream[Received](0)
        from_client, for_server = anyio.create_memory_object_stream[SessionMessage](0)
        async with stdio_client(server, log) as (read, write), anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_received, read, to_client)
            tasks.start_soon(self._pass_sent, for_server, write)
            yield for_client, from_client
            tasks.cancel_scope.cancel()

    async def _pass_received(self, read: Any, on: Any) -> None:
        with suppress(*GONE):
            async for item in read:
                if isinstance(item, Exception):
                    self.unreadable.append(item)
                else:
                    self.received.append(_plain(item))
                    self._heard.set()
                    self._heard = anyio.Event()
                await on.send(item)
        await on.aclose()

    async def _pass_sent(self, read: Any, on: Any) -> None:
        with suppress(*GONE):
            async for item in read:
                self.sent.append(_plain(item))
                await on.send(item)
        await on.aclose()


def _plain(item: SessionMessage) -> dict[str, Any]:
    dumped: dict[str, Any] = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
    return dumped
