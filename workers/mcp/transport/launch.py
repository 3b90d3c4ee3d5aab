"""What a server's program is started with, or its URL asked with. Values of variables are given, never looked up."""

from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.config.paths import resolve_path
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.version import __version__
from greenroom.runtime.process.spawn import OWN_VARIABLES
from greenroom.runtime.search_path import with_absolute_path

INHERITED: Final = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "USER", "__CF_USER_TEXT_ENCODING"),
    *("LANG", "LC_ALL", "TERM", "TMPDIR", "TZ"),
)
"""The variables that every program gets."""
USER_AGENT: Final = f"codex-mcp-client/{__version__}"


class StartupError(Exception):
    """A server cannot be used. The text says why, to the user."""


class ServerProgram(msgspec.Struct, frozen=True):
    """A program to start."""

    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]


class ServerUrl(msgspec.Struct, frozen=True):
    """A URL to ask."""

    url: str
    headers: Mapping[str, str]
    can_log_in: bool = False
    """Whether a login is what it may be asked with."""


def program(server: McpServer, cwd: str, environment: Mapping[str, str], values: Mapping[str, str]) -> ServerProgram:
    """Return how a server with a `command` is started. `cwd` is where a relative directory begins."""
    assert server.command is not None, "the server has a command"
    variables = {name: environment[name] for name in INHERITED if name in environment}
    variables |= {name: values[name] for name in server.env_vars if name in values and name not in OWN_VARIABLES}
    directory = resolve_path(cwd, server.cwd or "", environment)
    return ServerProgram((server.command, *server.args), directory, with_absolute_path(variables) | server.env)


def server_address(server: McpServer, values: Mapping[str, str]) -> ServerUrl:
    """Return how a server with a `url` is asked. Raises `StartupError` where its token is missing."""
    assert server.url is not None, "the server has a URL"
    headers = {"User-Agent": USER_AGENT, **server.http_headers}
    for header, name in server.env_http_headers.items():
        if values.get(name, "").strip():
            headers[header] = values[name].strip()
    if (variable := server.bearer_token_env_var) is not None:
        if not values.get(variable, "").strip():
            raise StartupError(f"the variable `{variable}`, which should hold its token, is not set")
        headers["Authorization"] = f"Bearer {values[variable].strip()}"
    return ServerUrl(server.url, headers, server.can_log_in)
