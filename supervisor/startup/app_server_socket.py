"""The start of `greenroom app-server --listen unix://PATH`: a server for clients that come to a socket of its own."""

import argparse
import os
import socket
from typing import Final

import msgspec

from greenroom.runtime.sockets import socket_file
from greenroom.supervisor.frontend.app_server.front import SERVICES, AppServerFront
from greenroom.supervisor.frontend.app_server.web_socket import WebSocketListener
from greenroom.supervisor.frontend.client_channel import Write
from greenroom.supervisor.frontend.connection import FrontEnd
from greenroom.supervisor.frontend.descriptors import leave_stdio
from greenroom.supervisor.options import UNIX, ServerOptions
from greenroom.supervisor.startup.early_signals import note_early_signals
from greenroom.supervisor.startup.host_listeners import check_peer, patience_of
from greenroom.supervisor.startup.last_threads import run_without_threads
from greenroom.supervisor.startup.prelaunch import Prelaunch
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.server import Server, open_logs
from greenroom.supervisor.startup.start import provide, server_options

DEFAULT: Final = ("app-server-control", "app-server-control.sock")
"""Where clients of the reference look for the socket, below the home."""


def serve_app_server(arguments: argparse.Namespace, prelaunch: Prelaunch | None) -> int:
    """Serve until a signal; return the exit code. Raises `GreenroomError`."""
    leave_stdio()
    prelaunch = prelaunch or Prelaunch.prepare()
    options = server_options(arguments, prelaunch.environment, prelaunch.home)
    options = msgspec.structs.replace(options, serves_many=True)
    path = socket_path(arguments.listen, options.codex_home)
    listening = socket_file.open_socket(path)
    try:
        note_early_signals()
        run_without_threads(_serve(options, provide(options, prelaunch), listening, path))
    finally:
        listening.close()
    return 0


def socket_path(listen: str, home: str) -> str:
    """Return the path that an address names; without one, the usual place in the home, which is made."""
    path = listen.removeprefix(UNIX)
    if path:
        return os.path.abspath(path)
    directory = os.path.join(home, DEFAULT[0])
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, DEFAULT[1])


async def _serve(options: ServerOptions, provisions: Provisions, listening: socket.socket, path: str) -> None:
    open_logs(options)

    def front(write: Write) -> FrontEnd:
        return AppServerFront(write, provisions.environment, options.codex_home)

    listener = WebSocketListener(listening, path, front, check_peer, patience_of(options))
    await Server(options, provisions, (SERVICES,), (listener,)).serve()
