"""MCP servers whose tools a conversation may use: the tables of `mcp_servers`."""

import sys
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from msgspec import Meta, field

from greenroom.config.document import Table
from greenroom.config.section import Name, Section, Strings

ServerTimeout: TypeAlias = Annotated[float, Meta(ge=0.0, le=sys.float_info.max)]
"""A finite number of seconds or milliseconds."""

ApprovalMode: TypeAlias = Literal["auto", "prompt", "writes", "approve"]
"""Which calls need the user's approval (`greenroom.workers.approval.remote_tools`)."""

STARTUP_TIMEOUT: Final = 30.0
TOOL_TIMEOUT: Final = 300.0
FIRST_REQUEST_WAIT: Final = 10.0
"""Seconds that a conversation's first request waits for a server without a configured start limit."""


def _variable(entry: object) -> object:
    return entry.get("name") if isinstance(entry, dict) else entry


class ToolTable(Section, frozen=True):
    """One table of `mcp_servers.{name}.tools`."""

    approval_mode: ApprovalMode | None = None


class OAuthTable(Section, frozen=True):
    """The table `mcp_servers.{name}.oauth`."""

    client_id: Name | None = None
    """The client id for logins; `None`: register one at the issuer."""


class McpServer(Section, frozen=True):
    """One table of `mcp_servers`: a program spoken to over its pipes, or the URL of a streamable HTTP server."""

    withheld: ClassVar[frozenset[str]] = frozenset({"bearer_token", "env", "http_headers"})

    command: Name | None = None
    args: Strings = ()
    env: dict[str, str] = field(default_factory=dict)
    env_vars: Strings = ()
    """Variables of the server's environment that the program gets beyond the standard ones."""
    cwd: str | None = None

    url: Name | None = None
    bearer_token: object = None
    """Rejected: a token must not be in the file."""
    bearer_token_env_var: str | None = None
    """The variable that holds the token for the URL."""
    http_headers: dict[str, str] = field(default_factory=dict)
    env_http_headers: dict[str, str] = field(default_factory=dict)
    """Header → variable that holds its value."""
    oauth: OAuthTable = OAuthTable()
    oauth_resource: Name | None = None
    """The resource for which tokens are requested (RFC 8707); `None`: the server's own identifier."""
    scopes: Strings = ()
    """The scopes to request at a login; empty: those that the server names."""

    enabled: bool = True
    required: bool = False
    """Whether a conversation cannot start without it."""
    startup_timeout_sec: ServerTimeout | None = None
    startup_timeout_ms: ServerTimeout | None = None
    tool_timeout_sec: ServerTimeout = TOOL_TIMEOUT
    enabled_tools: Strings | None = None
    """The only tools to offer; `None` = all."""
    disabled_tools: Strings = ()
    """Tools not to offer, even if `enabled_tools` lists them."""
    default_tools_approval_mode: ApprovalMode = "auto"
    tools: dict[str, ToolTable] = field(default_factory=dict)
    """Settings of single tools, named as the server names them."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        entries = table.get("env_vars")
        return {**table, "env_vars": [_variable(entry) for entry in entries]} if isinstance(entries, list) else table

    def __post_init__(self) -> None:
        if self.bearer_token is not None:
            raise ValueError("bearer_token is not supported for streamable_http; use `bearer_token_env_var`")
        if self.command is None and self.url is None:
            raise ValueError("missing field `command` or `url`")
        if self.command is not None and self.url is not None:
            raise ValueError("url is not supported for stdio; keep either `command` or `url`")

    @property
    def credential_variables(self) -> tuple[str, ...]:
        """Variables whose values it must be given."""
        bearer = () if self.bearer_token_env_var is None else (self.bearer_token_env_var,)
        return tuple(dict.fromkeys((*self.env_vars, *self.env_http_headers.values(), *bearer)))

    @property
    def can_log_in(self) -> bool:
        """Whether it uses a login: it has a URL, and no token is configured."""
        named = {header.lower() for header in (*self.http_headers, *self.env_http_headers)}
        return self.url is not None and self.bearer_token_env_var is None and "authorization" not in named

    @property
    def startup_timeout(self) -> float:
        """Seconds within which the server must have listed its tools."""
        if self.startup_timeout_sec is not None:
            return self.startup_timeout_sec
        return STARTUP_TIMEOUT if self.startup_timeout_ms is None else self.startup_timeout_ms / 1000

    @property
    def first_request_wait(self) -> float:
        """Seconds from the start of the servers for which requests wait for this one.

        A configured start limit means that its tools are wanted in the first turn. Without one, a conversation should
        not be held up by a server that may never answer.
        """
        own = self.startup_timeout_sec is not None or self.startup_timeout_ms is not None
        return self.startup_timeout if own else min(FIRST_REQUEST_WAIT, self.startup_timeout)

    def approval_mode(self, tool: str) -> ApprovalMode:
        """Return the approval mode of a tool, by the server's name for it."""
        table = self.tools.get(tool)
        return (table and table.approval_mode) or self.default_tools_approval_mode

    def offers(self, tool: str) -> bool:
        """Tell whether a tool, by the server's name for it, is offered to the model."""
        return (self.enabled_tools is None or tool in self.enabled_tools) and tool not in self.disabled_tools
