"""MCP over HTTP for a host: loaded only where it is asked for."""

import socket
import sys
from collections.abc import Mapping
from functools import partial

from greenroom.config.tables.http import HttpTable
from greenroom.supervisor.frontend.http.address import ListenAddress, parse_address
from greenroom.supervisor.frontend.http.listener import HttpListener, url_of
from greenroom.supervisor.frontend.http.token_file import http_token, token_path
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.options import ServerOptions


def make_http_listener(
    options: ServerOptions, listen: str, environment: Mapping[str, str], listening: socket.socket | None = None
) -> HttpListener:
    """Return what serves MCP at an address. Makes the token of the home if there is none. Raises `ConfigError`.

    `listening` is bound to the address already.
    """
    address, home = parse_address(listen), options.codex_home

    def front() -> Front:
        return Front(lambda _: None, environment, options.session_tools, options.approval_tools)

    return HttpListener(
        options.http or HttpTable(),
        address,
        http_token(home),
        front,
        partial(_print, token_path(home)),
        listening,
    )


def inherited(
    options: ServerOptions, listen: str, environment: Mapping[str, str], address: str, listening: socket.socket
) -> HttpListener:
    """Return the same where `listening` is bound to an address, which may be the one that is asked for.

    Raises `ConfigError`.
    """
    asked, present = parse_address(listen), parse_address(address)
    if asked.host == present.host and asked.port in (0, present.port):
        return make_http_listener(options, address, environment, listening)
    listening.close()
    return make_http_listener(options, listen, environment)


def _print(path: str, address: ListenAddress) -> None:
    """Tell the user where it listens, and what of that is dangerous."""
    sys.stderr.write(f"greenroom: MCP over HTTP at {url_of(address)}, with the bearer token in {path}\n")
    if not address.is_loopback:
        sys.stderr.write(
            f"greenroom: {address.text} is reached from other machines without TLS: the token can be read from the "
            "traffic. Put a proxy with TLS in front of it.\n"
        )
    sys.stderr.flush()
