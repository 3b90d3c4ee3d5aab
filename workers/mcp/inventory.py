"""What the MCP servers of a conversation have to offer, and calls of them that a client makes itself.

The client stands for the user: a call of its own needs no approval. What the configuration leaves out stays left out.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.internal.requests import RemoteAuth, RemoteServer
from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.mcp.servers import ServerStatus
from greenroom.workers.mcp.tools.calls import RemoteCallError
from greenroom.workers.mcp.tools.resource_tools import ResourceMethod
from greenroom.workers.mcp.tools.tool import RemoteTool

PAGES: Final = 20
"""Pages of a listing of resources that are read."""
_GONE: Final = ServerStatus("failed", "the server has ended")


class Offering(Protocol):
    """A server that is there (`greenroom.workers.mcp.host.ServerHost`)."""

    @property
    def tools(self) -> list[RemoteTool]:
        """Its tools."""
        ...

    @property
    def has_resources(self) -> bool:
        """Whether it has resources."""
        ...

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Call a tool. Raises `RemoteCallError`."""
        ...

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        """Return the result of a method about resources. Raises `RemoteCallError`."""
        ...


class StartedServer(Protocol):
    """The servers of a conversation (`greenroom.workers.mcp.servers.McpServers`)."""

    @property
    def states(self) -> Mapping[str, ServerStatus]:
        """Every server that is started, and where it is."""
        ...

    @property
    def hosts(self) -> Mapping[str, Offering]:
        """Those that are there."""
        ...

    async def settled(self, name: str | None = None) -> None:
        """Wait until a server, or each, is ready or has failed."""


class ServerInventory:
    """Belongs to one conversation."""

    def __init__(self, configured: Mapping[str, McpServer], faulty: Mapping[str, str], started: StartedServer) -> None:
        """`faulty`: servers that cannot be started as they are configured, and why."""
        self._configured = configured
        self._faulty = faulty
        self._started = started

    async def servers(self, only: str | None, *, with_resources: bool) -> list[RemoteServer]:
        """Return all servers, or one, once each is ready or has failed. Raises `RemoteCallError` if it is unknown."""
        names = sorted({*self._configured, *self._faulty})
        if only is not None and only not in names:
            raise RemoteCallError(_unknown(only))
        await self._started.settled(only if only in self._configured else None)
        return [await self._described(name, with_resources) for name in names if only in (None, name)]

    async def call(self, server: str, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Return the `CallToolResult` of a call. Raises `RemoteCallError`."""
        host = await self._ready(server)
        offered = (one.name for one in host.tools if self._configured[server].offers(one.name))
        if tool not in offered:
            raise RemoteCallError(f"the MCP server '{server}' offers no tool '{tool}'")
        return await host.call(tool, arguments)

    async def read_resource(self, server: str, uri: str) -> JsonObject:
        """Return the `ReadResourceResult` of a resource. Raises `RemoteCallError`."""
        host = await self._ready(server)
        if not host.has_resources:
            raise RemoteCallError(f"the MCP server '{server}' has no resources")
        return await host.resources("resources/read", {"uri": uri})

    async def _ready(self, server: str) -> Offering:
        if server in self._faulty:
            raise RemoteCallError(self._faulty[server])
        if server not in self._configured:
            raise RemoteCallError(_unknown(server))
        if not self._configured[server].enabled:
            raise RemoteCallError(f"the MCP server '{server}' is disabled")
        await self._started.settled(server)
        host = self._started.hosts.get(server)
        if host is None:
            raise RemoteCallError(self._started.states.get(server, _GONE).error or "the server has ended")
        return host

    async def _described(self, name: str, with_resources: bool) -> RemoteServer:
        server, host = self._configured.get(name), self._started.hosts.get(name)
        status = self._started.states.get(name)
        resources: list[object] = []
        templates: list[object] = []
        if with_resources and host is not None and host.has_resources:
            resources = await _listed(host, "resources/list", "resources", "uri")
            templates = await _listed(host, "resources/templates/list", "resourceTemplates", "uriTemplate")
        tools = [] if host is None or server is None else [one for one in host.tools if server.offers(one.name)]
        return RemoteServer(
            name=name,
            state="failed" if name in self._faulty else "disabled" if status is None else status.state,
            error=self._faulty.get(name) or (None if status is None else status.error),
            auth="unknown" if server is None else _auth(server),
            origin=None if server is None else _origin(server),
            tools=[msgspec.Raw(msgspec.json.encode(_tool(one))) for one in tools],
            resources=[msgspec.Raw(msgspec.json.encode(one)) for one in resources],
            templates=[msgspec.Raw(msgspec.json.encode(one)) for one in templates],
        )


async def _listed(host: Offering, method: ResourceMethod, member: str, key: str) -> list[object]:
    """Return the entries of a listing that have a name and an address. One that fails is cut off there."""
    found: list[object] = []
    params: JsonObject = {}
    for _ in range(PAGES):
        try:
            page = await host.resources(method, params)
        except RemoteCallError:
            break
        entries = [entry for entry in as_list(page.get(member)) if isinstance(entry, dict)]
        found += [entry for entry in entries if isinstance(entry.get("name"), str) and isinstance(entry.get(key), str)]
        if not isinstance(page.get("nextCursor"), str):
            break
        params = {"cursor": page["nextCursor"]}
    return found


def _tool(tool: RemoteTool) -> JsonObject:
    hints = {
        "readOnlyHint": tool.hints.read_only,
        "destructiveHint": tool.hints.destructive,
        "openWorldHint": tool.hints.open_world,
    }
    given = {name: hint for name, hint in hints.items() if hint is not None}
    schema = tool.schema if isinstance(tool.schema, dict) else {"type": "object"}
    described: JsonObject = {"name": tool.name, "description": tool.description, "inputSchema": schema}
    return {**described, "annotations": given} if given else described


def _auth(server: McpServer) -> RemoteAuth:
    if server.bearer_token_env_var is not None:
        return "bearerToken"
    return "unknown" if server.can_log_in else "unsupported"


def _origin(server: McpServer) -> str | None:
    if server.url is None:
        return None
    try:
        parts = urlsplit(server.url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else None


def _unknown(name: str) -> str:
    return f"unknown MCP server '{name}'"


def faulty_servers(faulty: Mapping[str, str]) -> list[RemoteServer]:
    """Return the servers that cannot be started as they are configured."""
    return [
        RemoteServer(name=name, state="failed", error=why, auth="unknown", tools=[], resources=[], templates=[])
        for name, why in sorted(faulty.items())
    ]
