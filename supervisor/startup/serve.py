"""The start of a host: `greenroom serve`, a server in its own right that outlives its clients."""

import argparse
import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

from greenroom.protocol.errors import StartError
from greenroom.runtime import directory
from greenroom.runtime.host_socket import home_id, socket_name
from greenroom.runtime.service_manager import ServiceManager
from greenroom.supervisor.control import peer
from greenroom.supervisor.frontend.app_server.front import SERVICES as APP_SERVER_SERVICES
from greenroom.supervisor.frontend.app_server.front import AppServerFront
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import FrontEnd
from greenroom.supervisor.frontend.exec.front import SERVICES as EXEC_SERVICES
from greenroom.supervisor.frontend.exec.handover import PROTOCOL as EXEC
from greenroom.supervisor.frontend.exec.hosted_front import HostedExecFront
from greenroom.supervisor.frontend.hello import MCP, Hello, HelloError
from greenroom.supervisor.frontend.listener import Listener
from greenroom.supervisor.frontend.mcp.front import SERVICES as MCP_SERVICES
from greenroom.supervisor.frontend.mcp.front import Front
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.unix_listener import BACKLOG, MakeFrontEnd, UnixListener
from greenroom.supervisor.options import APP_SERVER, ServerOptions
from greenroom.supervisor.startup.host_lock import HomeHasHostError, HostLock
from greenroom.supervisor.startup.prelaunch import Prelaunch
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import STOP_SIGNALS, Server, open_logs
from greenroom.supervisor.startup.start import provide, server_options

HAS_HOST: Final = 3
"""The exit code where another host serves the home."""


def serve(arguments: argparse.Namespace) -> int:
    """Serve as the command line says, until a signal; return the exit code. Raises `GreenroomError`."""
    manager = ServiceManager.take_over(os.environ)
    _detach_from_terminal()
    prelaunch = Prelaunch.prepare()
    options = server_options(arguments, prelaunch.environment, prelaunch.home)._replace(serves_many=True)
    try:
        lock = HostLock.acquire(options.codex_home)
    except HomeHasHostError as error:
        sys.stderr.write(f"greenroom: {error}\n")
        return HAS_HOST
    path = ""
    try:
        http = _http_listener(options, arguments.http, prelaunch.environment)
        for number in STOP_SIGNALS:
            signal.signal(number, _end_early)
        listening, path = _open_socket(options.codex_home, prelaunch.environment, manager)
        lock.write(path or listening.getsockname())
        asyncio.run(_serve(options, provide(options, prelaunch), manager, listening, path, http))
    finally:
        if path:
            with suppress(OSError):  # removed when the listener was stopped
                os.unlink(path)
        lock.close()
    return 0


async def _serve(
    options: ServerOptions,
    provisions: Provisions,
    manager: ServiceManager,
    listening: socket.socket,
    path: str,
    http: Listener | None,
) -> None:
    open_logs(options)
    listeners = listeners_of(options, provisions.environment, listening, path)
    listeners += () if http is None else (http,)
    ready = partial(manager.notify, "READY=1", f"STATUS=Listening at {path or listening.getsockname()}")
    services = (MCP_SERVICES, APP_SERVER_SERVICES, EXEC_SERVICES)
    await Server(options, provisions, services, listeners, ready, partial(manager.notify, "STOPPING=1")).serve()


def listeners_of(
    options: ServerOptions, environment: Mapping[str, str], listening: socket.socket, path: str
) -> tuple[Listener, ...]:
    """Return all that takes in clients of the host. Another transport is another entry."""
    unix = UnixListener(
        listening,
        protocols(options, environment),
        home_id(options.codex_home),
        check_peer,
        options.limits.first_line_timeout,
        Patience(options.limits.slow_client, options.limits.client_buffer),
        path,
    )
    return (unix,)


def protocols(options: ServerOptions, environment: Mapping[str, str]) -> Mapping[str, MakeFrontEnd]:
    """Return the protocols that clients may name in their first line. Another protocol is another entry."""

    def mcp(write: Write, hello: Hello) -> FrontEnd:
        return Front(write, environment, options.session_tools, options.approval_tools, hello.cwd)

    def app_server(write: Write, hello: Hello) -> FrontEnd:
        return AppServerFront(write, environment, options.codex_home, hello.cwd)

    def one_turn(write: Write, _: Hello) -> FrontEnd:
        return HostedExecFront(write, environment)

    return {MCP: mcp, APP_SERVER: app_server, EXEC: one_turn}


def _http_listener(options: ServerOptions, listen: str | None, environment: Mapping[str, str]) -> "Listener | None":
    """Return what serves MCP over HTTP, if that is asked for. Raises `ConfigError`."""
    listen = listen or (None if options.http is None else options.http.listen)
    if listen is None:
        return None
    from greenroom.supervisor.startup.http import http_listener

    return http_listener(options, listen, environment)


def check_peer(connected: socket.socket) -> int:
    """Return the pid of a client, which must be of this user and not started by this host. Raises `HelloError`."""
    found = peer.peer_of(connected)
    if (reason := peer.refusal(found)) is not None:
        raise HelloError("peer", reason)
    return found.pid


def _open_socket(home: str, environment: Mapping[str, str], manager: ServiceManager) -> tuple[socket.socket, str]:
    """Return the socket to listen at, and the path that is to be removed at the end, if any. Raises `StartError`.

    The home is locked, so a socket that is there belongs to a host that was killed. Any program
    that finds the path can connect.
    """
    if manager.sockets:
        return _passed_socket(manager), ""
    path = os.path.join(directory.parent(environment), socket_name(home))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fresh = f"{path}.{os.getpid()}"
        listening.bind(fresh)
        os.chmod(fresh, 0o600)
        listening.listen(BACKLOG)
        os.rename(fresh, path)
    except OSError as error:
        listening.close()
        raise StartError(f"the socket {path} cannot be opened: {error.strerror}") from error
    return listening, path


def _passed_socket(manager: ServiceManager) -> socket.socket:
    """Return the one socket that systemd has opened. Raises `StartError`."""
    if len(manager.sockets) > 1:
        raise StartError(f"{len(manager.sockets)} sockets were passed (LISTEN_FDS); a host takes one Unix socket")
    (descriptor,) = manager.sockets
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        raise StartError("descriptor 3 (LISTEN_FDS) is no socket")
    passed = socket.socket(fileno=descriptor)
    if passed.family != socket.AF_UNIX or passed.type != socket.SOCK_STREAM:
        passed.close()
        raise StartError("the passed socket (LISTEN_FDS) is no Unix stream socket")
    return passed


def _end_early(*_: object) -> NoReturn:
    """End before the loop handles signals; the processes that were started end with this one."""
    raise SystemExit(0)


def _detach_from_terminal() -> None:
    """Read nothing, and let what is printed by mistake go to standard error, also where descriptors were closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
