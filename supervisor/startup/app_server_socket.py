"""The start of `greenroom app-server --listen unix://PATH`: a server for clients that come to a socket of its own."""

import argparse
import asyncio
import os
import signal
import socket
import stat
from contextlib import suppress
from typing import Final, NoReturn

from greenroom.protocol.errors import StartError
from greenroom.supervisor.frontend.app_server.front import SERVICES, AppServerFront
from greenroom.supervisor.frontend.app_server.web_socket import WebSocketListener
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import FrontEnd
from greenroom.supervisor.frontend.descriptors import leave_stdio
from greenroom.supervisor.frontend.slow_reader import Patience
from greenroom.supervisor.frontend.unix_listener import BACKLOG
from greenroom.supervisor.options import UNIX, ServerOptions
from greenroom.supervisor.startup.host_listeners import check_peer
from greenroom.supervisor.startup.prelaunch import Prelaunch
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import STOP_SIGNALS, Server, open_logs
from greenroom.supervisor.startup.start import provide, server_options

DEFAULT: Final = ("app-server-control", "app-server-control.sock")
"""Where clients of the reference look for the socket, below the home."""


def serve(arguments: argparse.Namespace, prelaunch: Prelaunch | None) -> int:
    """Serve until a signal; return the exit code. Raises `GreenroomError`."""
    leave_stdio()
    prelaunch = prelaunch or Prelaunch.prepare()
    options = server_options(arguments, prelaunch.environment, prelaunch.home)._replace(serves_many=True)
    path = socket_path(arguments.listen, options.codex_home)
    listening = open_socket(path)
    try:
        for number in STOP_SIGNALS:
            signal.signal(number, _end_early)
        asyncio.run(_serve(options, provide(options, prelaunch), listening, path))
    finally:
        listening.close()
        with suppress(OSError):  # removed when the listener was stopped
            os.unlink(path)
    return 0


def socket_path(listen: str, home: str) -> str:
    """Return the path that an address names; without one, the usual place in the home, which is made."""
    path = listen.removeprefix(UNIX)
    if path:
        return os.path.abspath(path)
    directory = os.path.join(home, DEFAULT[0])
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, DEFAULT[1])


def open_socket(path: str) -> socket.socket:
    """Return a socket that listens, for this user alone. Raises `StartError`, also where another server does.

    A socket that nobody listens at any more gives way; any other file does not.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = f"{path}.{os.getpid()}"
    try:
        _require_free(path)
        listening.bind(fresh)
        os.chmod(fresh, 0o600)
        listening.listen(BACKLOG)
        os.rename(fresh, path)
    except OSError as error:
        listening.close()
        with suppress(OSError):
            os.unlink(fresh)
        raise StartError(f"the socket {path} cannot be opened: {error.strerror or error}") from error
    return listening


def _require_free(path: str) -> None:
    """Raise `StartError` where a path is in use."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(f"{path} is in the way: it is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:  # its server is gone
            return
        except OSError as error:
            raise StartError(f"{path} is in the way: {error.strerror or error}") from error
    raise StartError(f"another server listens at {path}")


async def _serve(options: ServerOptions, provisions: Provisions, listening: socket.socket, path: str) -> None:
    open_logs(options)

    def front(write: Write) -> FrontEnd:
        return AppServerFront(write, provisions.environment, options.codex_home)

    limits = options.limits
    patience = Patience(limits.slow_client, limits.client_buffer)
    listener = WebSocketListener(listening, path, front, check_peer, patience)
    await Server(options, provisions, (SERVICES,), (listener,)).serve()


def _end_early(*_: object) -> NoReturn:
    """End before the loop handles signals; the processes that were started end with this one."""
    raise SystemExit(0)
