"""Renders MCP servers as this protocol has them, page by page. Free of I/O."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.app_server.mcp_servers import ListMcpServerStatusResponse, McpServerStatus
from greenroom.protocol.internal.requests import RemoteServer, RemoteState

_Status: TypeAlias = Literal["starting", "connected", "failed", "cancelled", "disabled"]
_STATES: Final[Mapping[RemoteState, _Status]] = {
    "starting": "starting",
    "ready": "connected",
    "failed": "failed",
    "cancelled": "cancelled",
    "disabled": "disabled",
}


class _Named(msgspec.Struct):
    name: str


_name: Final = msgspec.json.Decoder(_Named).decode


def status_page(servers: Sequence[RemoteServer], cursor: str | None, limit: int | None) -> ListMcpServerStatusResponse:
    """Return a page of servers, which are sorted by name. A cursor is the last name of the page before."""
    following = [server for server in servers if cursor is None or server.name > cursor]
    page = following[:limit] if limit else following
    more = page[-1].name if len(page) < len(following) else None
    return ListMcpServerStatusResponse(data=[_status(server) for server in page], next_cursor=more)


def _status(server: RemoteServer) -> McpServerStatus:
    return McpServerStatus(
        name=server.name,
        runtime_status=_STATES[server.state],
        auth_status=server.auth,
        http_origin=server.origin,
        tools={_name(tool).name: tool for tool in server.tools},
        tools_error=server.error,
        resources=server.resources,
        resource_templates=server.templates,
    )
