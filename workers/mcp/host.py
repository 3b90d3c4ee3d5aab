"""One server of one conversation, through all its lives.

The conversation starts it once. When it has gone (its program ended, its session at the other end is over), the next
call of one of its tools starts it again, if that has not happened too often; nothing is called twice but what the
server is known not to have received.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from greenroom.protocol.items import JsonObject
from greenroom.runtime.restart import Intensity, RestartPolicy
from greenroom.workers.mcp.fault import error_text
from greenroom.workers.mcp.tools.calls import RemoteCallError, UnheardError
from greenroom.workers.mcp.tools.resource_tools import ResourceMethod

if TYPE_CHECKING:
    from greenroom.workers.mcp.connection import McpConnection
    from greenroom.workers.mcp.tools.tool import RemoteTool

log = logging.getLogger(__name__)

SERVER: Final = Intensity(deaths=3, period=60.0, delays=(0.0,))
"""A server comes back when it is next called."""


class ServerHost:
    """`run` it in a task of its own; everything else may be called from any task meanwhile."""

    def __init__(
        self, name: str, connect: Callable[[], Awaitable["McpConnection"]], on_tools: Callable[[], Awaitable[None]]
    ) -> None:
        """`connect` makes the connection of one life; `on_tools` is called whenever the tools may have changed."""
        self._name = name
        self._connect = connect
        self._on_tools = on_tools
        self._policy = RestartPolicy(SERVER)
        self._connection: McpConnection | None = None
        self._wanted = asyncio.Event()
        self._life: asyncio.Future[str | None] | None = None
        """Done once the life that begins has a connection; else it tells why there is none."""
        self._stopping = False

    @property
    def tools(self) -> "list[RemoteTool]":
        """As listed last, also while the server is gone."""
        return [] if self._connection is None else self._connection.tools

    async def run(self) -> None:
        """Start the server, and serve until `stop`. Raises what the first start fails with; later ones cost a call."""
        try:
            await self._live()
            while not self._stopping:
                log.warning("the MCP server %r has gone; the next call of its tools starts it again", self._name)
                await self._wanted.wait()
                self._wanted.clear()
                if not self._stopping:
                    await self._live_again()
        finally:
            self._begun("the server has ended")

    def stop(self) -> None:
        """Have `run` end the server and return."""
        self._stopping = True
        self._wanted.set()
        if self._connection is not None:
            self._connection.stop()

    async def fresh(self) -> None:
        """Wait until no change that the server has announced is still to be fetched."""
        if self._connection is not None:
            await self._connection.fresh()

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Return the `CallToolResult`. Raises `RemoteCallError`; a cancelled call is cancelled at the server too."""
        return await self._ask(lambda connection: connection.call(tool, arguments))

    @property
    def has_resources(self) -> bool:
        """Whether the server says that it has resources, as it did last."""
        return self._connection is not None and self._connection.has_resources

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        """Return the result of a method about resources. Raises `RemoteCallError`."""
        return await self._ask(lambda connection: connection.resources(method, params))

    async def _ask(self, request: Callable[["McpConnection"], Awaitable[JsonObject]]) -> JsonObject:
        """Make a request, and make it again where the server is known not to have received it."""
        try:
            return await request(await self._present())
        except UnheardError:
            return await request(await self._present())

    async def _live(self) -> None:
        connection = await self._connect()
        tools, has_resources, self._connection = self.tools, self.has_resources, connection
        connection.tools, connection.has_resources = tools, has_resources
        try:
            await connection.run(self._listed)
        except Exception as error:
            if not connection.has_started:
                raise
            log.warning("the connection to the MCP server %r broke: %s", self._name, error_text(error))

    async def _live_again(self) -> None:
        try:
            await self._live()
        except Exception as error:
            self._begun(error_text(error))

    async def _listed(self) -> None:
        self._begun(None)
        await self._on_tools()

    def _begun(self, fault: str | None) -> None:
        life, self._life = self._life, None
        if life is not None and not life.done():
            life.set_result(fault)

    async def _present(self) -> "McpConnection":
        """Return a connection to a server that is there, as far as is known."""
        if self._connection is not None and self._connection.is_up:
            return self._connection
        if self._life is None:
            loop = asyncio.get_running_loop()
            if self._policy.on_death(loop.time()) is None:
                raise RemoteCallError("the server has ended too often in a short time; it is left alone for a minute")
            self._life = loop.create_future()
            self._wanted.set()
        fault = await asyncio.shield(self._life)
        if fault is not None:
            raise RemoteCallError(fault)
        assert self._connection is not None, "a life that has begun has a connection"
        return self._connection
