"""MCP servers whose tools a conversation may use: the tables of `mcp_servers`."""

from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from config.section import Name, Section, Strings

Duration: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ApprovalMode: TypeAlias = Literal["auto", "prompt", "writes", "approve"]
"""Which calls need the user's approval (`workers.approval.remote_tools`)."""

STARTUP_TIMEOUT: Final = 30.0
TOOL_TIMEOUT: Final = 300.0


def _variable(entry: object) -> object:
    return entry.get("name") if isinstance(entry, dict) else entry


class ToolTable(Section):
    """One table of `mcp_servers.{name}.tools`."""

    approval_mode: ApprovalMode | None = None


class McpServer(Section):
    """One table of `mcp_servers`: a program to speak with over its pipes, or the URL of a streamable HTTP server."""

    command: Name | None = None
    args: Strings = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    env_vars: Annotated[tuple[Annotated[str, BeforeValidator(_variable)], ...], Field(strict=False)] = ()
    """Variables of our environment that the program is given, beyond the usual few."""
    cwd: str | None = None

    url: Name | None = None
    bearer_token_env_var: str | None = None
    """The variable that holds the token for the URL."""
    http_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    env_http_headers: dict[str, str] = Field(default_factory=dict)
    """Header → variable that holds its value."""

    enabled: bool = True
    required: bool = False
    """Whether a conversation must not start without it."""
    startup_timeout_sec: Duration | None = None
    startup_timeout_ms: Duration | None = None
    tool_timeout_sec: Duration = TOOL_TIMEOUT
    enabled_tools: Strings | None = None
    """The only tools to offer; `None` = all."""
    disabled_tools: Strings = ()
    """Tools not to offer, whatever `enabled_tools` says."""
    default_tools_approval_mode: ApprovalMode = "auto"
    tools: dict[str, ToolTable] = Field(default_factory=dict)
    """Settings of single tools, named as the server names them."""

    @model_validator(mode="before")
    @classmethod
    def _no_literal_token(cls, table: object) -> object:
        if isinstance(table, dict) and "bearer_token" in table:
            raise PydanticCustomError(
                "conflict", "bearer_token is not supported for streamable_http; use `bearer_token_env_var`"
            )
        return table

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if self.command is None and self.url is None:
            raise PydanticCustomError("missing_transport", "missing field `command` or `url`")
        if self.command is not None and self.url is not None:
            raise PydanticCustomError("conflict", "url is not supported for stdio; keep either `command` or `url`")
        return self

    @property
    def startup_timeout(self) -> float:
        """Seconds until the server must have listed its tools."""
        if self.startup_timeout_sec is not None:
            return self.startup_timeout_sec
        return STARTUP_TIMEOUT if self.startup_timeout_ms is None else self.startup_timeout_ms / 1000

    def approval_mode(self, tool: str) -> ApprovalMode:
        """Return by what mode calls of a tool are approved, named as the server names it."""
        table = self.tools.get(tool)
        return (table and table.approval_mode) or self.default_tools_approval_mode

    def offers(self, tool: str) -> bool:
        """Tell whether a tool, named as the server names it, is to be offered to the model."""
        return (self.enabled_tools is None or tool in self.enabled_tools) and tool not in self.disabled_tools
