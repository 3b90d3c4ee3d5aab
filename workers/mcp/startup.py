"""Determines how long requests wait for starting servers: for each as long as its own table says."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.turn import BackgroundEvent, WarningEvent

NOTICE_SECONDS: Final = 2.0
"""Seconds after which a wait is reported."""
CLEARING_SECONDS: Final = 1.5
"""Extra seconds for cleaning up a start that fails at its own limit, so that the failure is reported."""


class Startup:
    """To be created when the servers begin to start, on the running loop."""

    def __init__(
        self,
        servers: Mapping[str, McpServer],
        tell: Callable[[Event], Awaitable[None]],
        notice_after: float = NOTICE_SECONDS,
    ) -> None:
        """`tell` takes events for the client."""
        self._servers = servers
        self._tell = tell
        self._notice_after = notice_after
        self._began_at = asyncio.get_running_loop().time()
        self._settled = {name: asyncio.Event() for name in servers}
        self._late: set[str] = set()
        """Servers for which requests no longer wait."""
        self.is_waiting = False

    @property
    def is_over(self) -> bool:
        """Whether every server is ready or has failed."""
        return all(settled.is_set() for settled in self._settled.values())

    def has_settled(self, name: str) -> bool:
        """Tell whether a server is ready or has failed."""
        return self._settled[name].is_set()

    def settle(self, name: str) -> None:
        """Record that a server is ready or has failed."""
        self._settled[name].set()

    async def settled(self, name: str | None = None) -> None:
        """Wait until a server, or each, is ready or has failed. One that is not started is not waited for."""
        for one, settled in self._settled.items():
            if name in (None, one):
                await settled.wait()

    async def wait(self, check: Callable[[], None]) -> None:
        """Wait for the servers that a request needs. `check` is called once the required servers have settled."""
        if not self._waited_for():
            check()
            return
        notice = asyncio.create_task(self._notice(), name="mcp-notice")
        self.is_waiting = True
        try:
            for name, server in self._servers.items():
                if server.required:
                    await self._settled[name].wait()
            check()
            for name, server in sorted(self._servers.items(), key=lambda entry: entry[1].first_request_wait):
                await self._wait_for(name, server)
        finally:
            self.is_waiting = False
            notice.cancel()
            await asyncio.gather(notice, return_exceptions=True)

    def _waited_for(self) -> list[str]:
        return [name for name in self._servers if not self.has_settled(name) and name not in self._late]

    async def _wait_for(self, name: str, server: McpServer) -> None:
        if self.has_settled(name) or name in self._late:
            return
        wait = server.first_request_wait
        has_own_limit = wait >= server.startup_timeout
        try:
            async with asyncio.timeout_at(self._began_at + wait + (CLEARING_SECONDS if has_own_limit else 0.0)):
                await self._settled[name].wait()
        except TimeoutError:
            self._late.add(name)
            if not has_own_limit:
                text = (
                    f"the MCP server `{name}` is not ready after {wait:g} s, and its tools are missing until it is;"
                    " set `startup_timeout_sec` in its table to have requests wait longer"
                )
                await self._tell(WarningEvent(text))

    async def _notice(self) -> None:
        await asyncio.sleep(self._notice_after)
        waiting = self._waited_for()
        longest = max((self._servers[name].first_request_wait for name in waiting), default=0.0)
        names = ", ".join(f"`{name}`" for name in waiting)
        text = f"waiting for MCP servers to start, {longest:g} s at most: {names}"
        await self._tell(BackgroundEvent(text))
