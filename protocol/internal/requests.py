"""What clients ask of a conversation beside its turns, and what they get (`ServeRequest`, `RequestServed`)."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from greenroom.protocol.goal import GoalStatus, ThreadGoal
from greenroom.protocol.items import JsonObject

RemoteState: TypeAlias = Literal["starting", "ready", "failed", "cancelled", "disabled"]
RemoteAuth: TypeAlias = Literal["unknown", "unsupported", "bearerToken"]


class InjectItems(Struct, frozen=True):
    """Params of `inject-items`: items of the Responses API, to be put behind the history."""

    items: list[Raw]


class SetGoal(Struct, frozen=True):
    """Params of `set-goal`. Members that are left out stay as they are. The result is a `GoalResult`."""

    objective: str | None = None
    status: GoalStatus | None = None
    token_budget: int | UnsetType | None = UNSET


class GoalResult(Struct, frozen=True):
    """Result of `get-goal` and `set-goal`."""

    goal: ThreadGoal | None


class ClearedGoal(Struct, frozen=True):
    """Result of `clear-goal`."""

    cleared: bool
    """Whether there was one."""


class McpCall(Struct, frozen=True):
    """Params of `mcp-call`. The result is the server's `CallToolResult`."""

    server: str
    tool: str
    arguments: JsonObject | None


class McpResource(Struct, frozen=True):
    """Params of `mcp-resource`. The result is the server's `ReadResourceResult`."""

    server: str
    uri: str


class McpStatus(Struct, frozen=True):
    """Params of `mcp-status`."""

    server: str | None = None
    """`None`: all."""
    with_resources: bool = True


class RemoteServer(Struct, frozen=True, kw_only=True):
    """An MCP server of a conversation."""

    name: str
    state: RemoteState
    error: str | None = None
    """Why it failed."""
    auth: RemoteAuth
    origin: str | None = None
    """Scheme, host and port of its URL, if it has one."""
    tools: list[Raw]
    resources: list[Raw]
    templates: list[Raw]


class McpServerStates(Struct, frozen=True):
    """Result of `mcp-status`, sorted by name."""

    servers: list[RemoteServer]
