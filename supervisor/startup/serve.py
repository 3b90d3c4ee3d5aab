"""The start of a host: `greenroom serve`, a server in its own right that outlives its clients."""

import argparse
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.errors import StartError
from greenroom.runtime.files import directory
from greenroom.runtime.service_manager import ServiceManager
from greenroom.runtime.sockets import socket_file
from greenroom.runtime.sockets.host_socket import parents, socket_name
from greenroom.supervisor.frontend.app_server.front import SERVICES as APP_SERVER_SERVICES
from greenroom.supervisor.frontend.descriptors import leave_stdio
from greenroom.supervisor.frontend.exec.front import SERVICES as EXEC_SERVICES
from greenroom.supervisor.frontend.listener import Listener
from greenroom.supervisor.frontend.mcp.front import SERVICES as MCP_SERVICES
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.background import start_in_background
from greenroom.supervisor.startup.early_signals import note_early_signals
from greenroom.supervisor.startup.host_listeners import (
    http_listener,
    inherited_http_listener,
    moved_connection,
    unix_listener,
)
from greenroom.supervisor.startup.host_lock import HomeHasHostError, HostLock
from greenroom.supervisor.startup.last_threads import run_without_threads
from greenroom.supervisor.startup.prelaunch import Prelaunch
from greenroom.supervisor.startup.provisions import Provisions
from greenroom.supervisor.startup.replacement.holdings import Holdings
from greenroom.supervisor.startup.server import GivesWay, Server, open_logs
from greenroom.supervisor.startup.start import provide, server_options

HAS_HOST: Final = 3
"""The exit code where another host serves the home."""
PATIENCE: Final = 20.0
"""Seconds that a host which is just starting has to become one that can be replaced, or one that ends to have ended."""
_PAUSE: Final = 0.05
HANDOVER: Final = "greenroom.supervisor.startup.replacement.handover"
"""The module by which a host gives way to another."""


def serve(arguments: argparse.Namespace) -> int:
    """Serve as the command line says, until a signal; return the exit code. Raises `GreenroomError`."""
    on_ready = start_in_background() if arguments.background else None
    if isinstance(on_ready, int):
        return on_ready
    holdings = Holdings(ServiceManager.take_over(os.environ))
    leave_stdio()
    prelaunch = Prelaunch.prepare()
    options = server_options(arguments, prelaunch.environment, prelaunch.home)
    options = msgspec.structs.replace(options, serves_many=True)
    start = _Start(options, prelaunch, holdings, arguments.http, on_ready)
    try:
        old = start.look(within_s=PATIENCE) if arguments.replace else start.look()
    except HomeHasHostError as error:
        sys.stderr.write(f"greenroom: {error}\n")
        return HAS_HOST
    if old is None:
        start.begin()
    else:
        start.replace(old)
    return 0


class _OldHost(NamedTuple):
    """The host that is to be replaced."""

    pid: int
    control_path: str


class _Start:
    """One start of a host, up to its end."""

    def __init__(
        self,
        options: ServerOptions,
        prelaunch: Prelaunch,
        holdings: Holdings,
        listen: str | None,
        on_ready: Callable[[], None] | None,
    ) -> None:
        """`listen` is the address for HTTP that the command line names; `on_ready` is called when it serves."""
        self._options, self._prelaunch, self._holdings = options, prelaunch, holdings
        self._environment = prelaunch.environment
        self._listen, self._on_ready = listen, on_ready

    def look(self, within_s: float | None = None) -> _OldHost | None:
        """Lock the home; return the host that has locked it, if there is one and it is to be replaced within a time.

        Raises `HomeHasHostError` and `StartError`.
        """
        home, ends_at = self._options.codex_home, time.monotonic() + (within_s or 0.0)
        while True:
            try:
                self._holdings.lock = HostLock.acquire(home)
            except HomeHasHostError:
                if within_s is None:
                    raise
            else:
                return None
            if (old := _old_host(home, self._environment)) is not None:
                return old
            if time.monotonic() >= ends_at:
                raise StartError(f"{home} has a host that is just starting or ending; try again")
            time.sleep(_PAUSE)

    def begin(self) -> None:
        """Be the host of a home that has none. Raises `StartError` and `ConfigError`."""
        holdings, home, path = self._holdings, self._options.codex_home, ""
        try:
            holdings.http = http_listener(self._options, self._listen, self._environment)
            note_early_signals()
            listening, path = _open_socket(home, self._environment, holdings.manager)
            holdings.unix = unix_listener(self._options, self._environment, listening, path)
            if holdings.lock is not None:
                holdings.lock.write(holdings.unix.address)
            run_without_threads(self._serve(provide(self._options, self._prelaunch), None))
        finally:
            if holdings.lock is not None:
                if path and holdings.lock.is_held:
                    with suppress(OSError):  # removed when the listener was stopped
                        os.unlink(path)
                holdings.lock.close()

    def replace(self, old: _OldHost) -> None:
        """Take over from the host that the home has. Raises `StartError` and `ConfigError`; then that serves on."""
        from greenroom.supervisor.startup.replacement.takeover import Takeover

        self._options = msgspec.structs.replace(self._options, takes_over=True)
        environment, options = self._environment, self._options
        note_early_signals()

        def takeover(server: Server) -> Listener:
            return Takeover(
                old.pid,
                old.control_path,
                self._holdings,
                partial(unix_listener, options, environment),
                partial(inherited_http_listener, options, self._listen, environment),
                partial(moved_connection, options, environment),
                lambda: server.host,
            )

        try:
            run_without_threads(self._serve(provide(options, self._prelaunch), takeover))
        finally:
            if self._holdings.lock is not None:
                self._holdings.lock.close()

    async def _serve(self, provisions: Provisions, takeover: Callable[[Server], Listener] | None) -> None:
        """Serve with what listens already, or with what `takeover` makes."""
        holdings = self._holdings
        open_logs(self._options)
        listeners: list[Listener] = [one for one in (holdings.unix, holdings.http) if one is not None]
        services = (MCP_SERVICES, APP_SERVER_SERVICES, EXEC_SERVICES, HANDOVER)
        server = Server(
            self._options,
            provisions,
            services,
            listeners,
            self._ready,
            lambda: holdings.manager.notify("STOPPING=1"),
            self._gives_way,
            listens_last=takeover is not None,
        )
        if takeover is not None:
            listeners.append(takeover(server))
        await server.serve()

    def _ready(self) -> None:
        self._holdings.manager.notify("READY=1", f"STATUS=Listening at {self._holdings.socket_path}")
        if self._on_ready is not None:
            self._on_ready()

    def _gives_way(self, server: Server) -> GivesWay:
        from greenroom.supervisor.startup.replacement.handover import HostHandover

        connect = partial(moved_connection, self._options, self._environment)
        return HostHandover(self._holdings, server, connect)


def _old_host(home: str, environment: Mapping[str, str]) -> _OldHost | None:
    """Return the host of a home, if it can be asked to hand over already."""
    from greenroom.supervisor.startup.replacement.control_path import control_path_of

    holder = HostLock.holder(home)
    control = None if holder is None else control_path_of(parents(environment), holder.pid)
    return None if holder is None or control is None else _OldHost(holder.pid, control)


def _open_socket(home: str, environment: Mapping[str, str], manager: ServiceManager) -> tuple[socket.socket, str]:
    """Return the socket to listen at, and the path that is to be removed at the end, if any. Raises `StartError`.

    The home is locked, so a socket that is there belongs to a host that was killed. Any program
    that finds the path can connect.
    """
    if manager.sockets:
        return _passed_socket(manager), ""
    path = os.path.join(directory.parent(environment), socket_name(home))
    return socket_file.open_socket(path), path


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
