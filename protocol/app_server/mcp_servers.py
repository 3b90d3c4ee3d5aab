"""Params and results of the methods about MCP servers."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, field

from greenroom.protocol.app_server.wire import Params, Result, ThreadParams


class ListMcpServerStatusParams(Params, frozen=True):
    """Params of `mcpServerStatus/list`."""

    thread_id: str | None = None
    server_name: str | None = None
    detail: Literal["full", "toolsAndAuthOnly"] | None = None
    cursor: str | None = None
    limit: Annotated[int, Meta(ge=0)] | None = None


class McpServerStatus(Result, frozen=True):
    """An MCP server, and what it offers."""

    name: str
    runtime_status: Literal["starting", "connected", "failed", "cancelled", "disabled"] | None
    auth_status: Literal["unknown", "unsupported", "bearerToken"]
    http_origin: str | None
    tools: dict[str, Raw]
    tools_error: str | None
    """Why there are no tools."""
    resources: list[Raw]
    resource_templates: list[Raw]


class ListMcpServerStatusResponse(Result, frozen=True):
    """Result of `mcpServerStatus/list`."""

    data: list[McpServerStatus]
    next_cursor: str | None = None


class McpServerToolCallParams(ThreadParams, frozen=True):
    """Params of `mcpServer/tool/call`."""

    server: str
    tool: str
    arguments: dict[str, Any] | None = None


class McpServerToolCallResponse(Result, frozen=True):
    """Result of `mcpServer/tool/call`."""

    content: list[Any]
    is_error: bool | None = None
    structured_content: Any = None
    meta: Any = field(name="_meta", default=None)


class McpResourceReadParams(Params, frozen=True):
    """Params of `mcpServer/resource/read`."""

    server: str
    uri: str
    thread_id: str | None = None


class McpResourceReadResponse(Result, frozen=True):
    """Result of `mcpServer/resource/read`."""

    contents: list[Raw]


class McpServerOauthLoginParams(Params, frozen=True):
    """Params of `mcpServer/oauth/login`."""

    name: str
    scopes: list[str] | None = None
    timeout_secs: int | None = None
    """How long the user has, 1 to 3600; what is beyond counts as the nearest. `None`: 300."""
    thread_id: str | None = None
    client_registration: Literal["auto", "dcr"] | None = None
    environment_id: None = None


class McpServerOauthLoginResponse(Result, frozen=True):
    """Result of `mcpServer/oauth/login`."""

    authorization_url: str
    login_id: str
