"""What takes in the clients of a host, and for which protocols."""

import os
import socket
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from greenroom.runtime.sockets.host_socket import home_id
from greenroom.supervisor.command_words import APP_SERVER
from greenroom.supervisor.control import peer
from greenroom.supervisor.frontend.app_server.front import AppServerFront
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import Connection, FrontEnd
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.exec.handover import PROTOCOL as EXEC
from greenroom.supervisor.frontend.exec.hosted_front import HostedExecFront
from greenroom.supervisor.frontend.hello import MCP, ClientHello, HelloError
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.frontend.unix_listener import MakeFrontEnd, UnixListener
from greenroom.supervisor.options import ServerOptions

if TYPE_CHECKING:
    from greenroom.supervisor.frontend.http.listener import HttpListener
    from greenroom.supervisor.frontend.mcp.front_state import FrontState


def unix_listener(
    options: ServerOptions, environment: Mapping[str, str], listening: socket.socket, path: str
) -> UnixListener:
    """Return what takes in clients at a socket. The path is removed in the end, if it is not empty."""
    return UnixListener(
        listening,
        protocols(options, environment),
        home_id(options.codex_home),
        check_peer,
        options.limits.first_line_timeout,
        patience_of(options),
        path,
    )


def protocols(options: ServerOptions, environment: Mapping[str, str]) -> Mapping[str, MakeFrontEnd]:
    """Return the protocols that clients may name in their first line. Another protocol is another entry."""

    def mcp(write: Write, hello: ClientHello) -> FrontEnd:
        return Front(write, environment, options.session_tools, options.approval_tools, hello.cwd)

    def app_server(write: Write, hello: ClientHello) -> FrontEnd:
        return AppServerFront(write, environment, options.codex_home, hello.cwd)

    def one_turn(write: Write, _: ClientHello) -> FrontEnd:
        return HostedExecFront(write, environment)

    return {MCP: mcp, APP_SERVER: app_server, EXEC: one_turn}


def moved_connection(
    options: ServerOptions, environment: Mapping[str, str], state: "FrontState", descriptor: int, pid: int
) -> Connection:
    """Return the connection of a client of MCP that another host has served until now."""
    front = Front(lambda _: None, environment, options.session_tools, options.approval_tools, state.cwd)
    front.resume(state)
    os.set_blocking(descriptor, False)
    descriptors = Descriptors(input=descriptor, output=os.dup(descriptor))
    return Connection(front, partial(StdioTransport, descriptors), pid=pid or None, patience=patience_of(options))


def http_listener(options: ServerOptions, listen: str | None, environment: Mapping[str, str]) -> "HttpListener | None":
    """Return what serves MCP over HTTP, if that is asked for. Raises `ConfigError`."""
    listen = listen or (None if options.http is None else options.http.listen)
    if listen is None:
        return None
    from greenroom.supervisor.startup import http

    return http.make_http_listener(options, listen, environment)


def inherited_http_listener(
    options: ServerOptions,
    listen: str | None,
    environment: Mapping[str, str],
    address: str | None,
    listening: socket.socket | None,
) -> "HttpListener | None":
    """Return the same where another host listens at an address already, which is kept unless another is asked for.

    Raises `ConfigError`.
    """
    if address is None or listening is None:
        return http_listener(options, listen, environment)
    from greenroom.supervisor.startup import http

    listen = listen or (None if options.http is None else options.http.listen) or address
    return http.inherited(options, listen, environment, address, listening)


def check_peer(connected: socket.socket) -> int:
    """Return the pid of a client, which must be of this user and not started by this host. Raises `HelloError`."""
    found = peer.peer_of(connected)
    if (reason := peer.peer_refusal(found)) is not None:
        raise HelloError("peer", reason)
    return found.pid


def patience_of(options: ServerOptions) -> Patience:
    """Return what a client of a host may do without being let go."""
    return Patience(options.limits.slow_client, options.limits.client_buffer)
