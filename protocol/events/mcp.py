"""Events about the user's MCP servers."""

import msgspec

from greenroom.protocol.events.event import Duration, Event, Object


class Invocation(msgspec.Struct, frozen=True):
    """A call of an MCP server's tool."""

    server: str
    tool: str
    arguments: Object | None


class ServerFailure(msgspec.Struct, frozen=True):
    """An MCP server that did not start."""

    server: str
    error: str


class ElicitationRequest(Event, tag="elicitation_request"):
    """An MCP server, or a call of one of its tools, needs an answer from the user; `elicitation/create` follows."""

    since = "2026"

    turn_id: str
    server_name: str
    id: str | int
    request: Object


class McpStartupUpdate(Event, tag="mcp_startup_update"):
    """An MCP server is starting, ready or failed."""

    since = "November 2025"

    server: str
    status: Object


class McpStartupComplete(Event, tag="mcp_startup_complete"):
    """All MCP servers have started or failed."""

    since = "November 2025"

    ready: list[str]
    failed: list[ServerFailure]
    cancelled: list[str]


class McpToolCallBegin(Event, tag="mcp_tool_call_begin"):
    """A tool of an MCP server is called."""

    turn_id: str
    call_id: str
    invocation: Invocation


class McpToolCallEnd(Event, tag="mcp_tool_call_end"):
    """A tool of an MCP server has answered: `result` is `{"Ok": …}` or `{"Err": "…"}`."""

    turn_id: str
    call_id: str
    invocation: Invocation
    duration: Duration
    result: Object
