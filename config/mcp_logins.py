"""Settings in `config.toml` about the logins of MCP servers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

from msgspec import Meta

from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.section import Name, Section, check
from greenroom.config.tables.servers import McpServer
from greenroom.config.tolerance import read_tolerantly

LoginStore: TypeAlias = Literal["file", "keyring", "auto"]


class McpLoginSettings(Section, frozen=True):
    """The top-level keys about these logins."""

    mcp_oauth_credentials_store: LoginStore = "auto"
    """Where tokens are kept; `auto`: in the keyring if it is usable, else in the file."""
    mcp_oauth_callback_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """The local port to which browsers are redirected; `None`: any free port."""
    mcp_oauth_callback_url: Name | None = None
    """The redirect URL, if it is not the local port itself."""


class McpLogins(NamedTuple):
    """The settings for logins."""

    settings: McpLoginSettings
    servers: Mapping[str, McpServer]
    """All valid servers of the file, including disabled ones."""


def mcp_logins(home: str, cli_overrides: Sequence[str] = ()) -> McpLogins:
    """Read the home's file again. Raises `ConfigError`."""
    table = layered(home, map(parse_assignment, cli_overrides))
    servers = table.get("mcp_servers")
    only = {} if servers is None else {"mcp_servers": servers}
    return McpLogins(check(McpLoginSettings, table), read_tolerantly(only).file.mcp_servers)
