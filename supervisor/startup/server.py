"""The server: the connections of its clients, the process tree behind them, and their end."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from greenroom.runtime import log as logs
from greenroom.runtime import logfile
from greenroom.runtime.launch import Launched
from greenroom.supervisor.frontend.connection import Connection, FrontEnd
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer

if TYPE_CHECKING:
    from greenroom.supervisor.control.control import ControlServer
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.processes.tree import ProcessTree

log = logging.getLogger(__name__)

MCP_SERVICES = "greenroom.supervisor.frontend.mcp.services"
CLIENT_LEFT = "the client has left"
SHUTTING_DOWN = "the server is shutting down"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Provisions:
    """What the process took over or started before its loop ran."""

    descriptors: Descriptors
    environment: Mapping[str, str]
    """This process's environment, with the home's `.env` in it."""
    secrets: Mapping[str, str]
    """The part of the environment that children start without."""
    fork_server: Launched | None
    """The fork server, already importing; `None` for the spawn engine."""
    launch: Callable[[], Launched]
    """Starts another fork server."""
    spawn: Callable[[], Launched]
    """Starts a process that waits for its spec."""


class Server:
    """Serves clients over one process tree, until the last of them has left or a signal arrives."""

    def __init__(self, options: ServerOptions, provisions: Provisions, services: str = MCP_SERVICES) -> None:
        """`services` is the module that its front ends need in `attach`. Must be made on the running loop."""
        self._services = services
        self._options = options
        self._provisions = provisions
        self._stop = asyncio.Event()
        self._signals = 0
        self._connections: list[Connection] = []
        """Those that are served, oldest first."""
        self._serving: set[asyncio.Task[None]] = set()
        self._host: ConversationHost | None = None
        self._tree: ProcessTree | None = None
        self._control: ControlServer | None = None
        self._is_open = False

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections that are being served, oldest first."""
        return self._connections

    def attach(self, connection: Connection) -> None:
        """Serve another client until its input ends."""
        self._connections.append(connection)
        connection.start()
        if self._host is not None and self._is_open:
            connection.attach(self._host)
        task = asyncio.get_running_loop().create_task(self._serve(connection), name="connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def serve(self) -> None:
        """Run until the end, and leave no process or file behind."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            await _import_in_thread("greenroom.supervisor.startup.processes")
            host = self._host = await self._start_processes()
            await _import_in_thread(self._services)
            await _import_in_thread("greenroom.supervisor.control.inspection")
            await self._open(host)
            await self._stop.wait()
        finally:
            await self._close()

    async def _start_processes(self) -> "ConversationHost":
        from greenroom.supervisor.startup import processes

        given = self._provisions
        engine = processes.make_engine(given.fork_server, given.launch, given.spawn)
        host = processes.make_host(self._options, engine, given.environment, given.secrets)
        self._tree = host.tree
        await host.tree.start(host)
        return host

    async def _open(self, host: "ConversationHost") -> None:
        """Let the clients' calls through to the conversations, and listen on the control socket."""
        from greenroom.supervisor.control.inspection import control_server

        self._is_open = True
        for connection in self._connections:
            connection.attach(host)
        self._control = control_server(host, self._connections, self._stop.set)
        await self._control.start()

    async def _serve(self, connection: Connection) -> None:
        """Wait for the end of a client; the server ends with the last one, as `_close` does."""
        await connection.wait_ended()
        if self._connections == [connection]:
            self._stop.set()
            return
        self._connections.remove(connection)
        await connection.stop(CLIENT_LEFT)
        connection.leave(CLIENT_LEFT)
        await connection.close()

    async def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        for connection in self._connections:
            await connection.stop(SHUTTING_DOWN)
        if self._tree is not None:
            await self._tree.close()
        await asyncio.gather(*(connection.close() for connection in self._connections))
        await self._let_go()

    async def _let_go(self) -> None:
        """Wait for connections that are being closed already, and stop waiting for the end of others."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _signalled(self) -> None:
        """End the server; at a second signal, without waiting for workers to save."""
        if self._signals and self._tree is not None:
            self._tree.hasten()
        self._signals += 1
        self._stop.set()


async def _import_in_thread(name: str) -> None:
    """Import a module while the loop continues to answer."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def work() -> None:
        try:
            __import__(name)
        except BaseException as error:  # any error is raised where the import is awaited
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, None)

    threading.Thread(target=work, name=f"import {name}", daemon=True).start()
    await done


def run(
    options: ServerOptions,
    provisions: Provisions,
    front: FrontEnd,
    buffer: HandshakeBuffer,
    services: str = MCP_SERVICES,
) -> None:
    """Serve one client at standard input and output, on a loop of its own."""
    logs.set_up("supervisor", options.log_level)
    logfile.open_log(options.codex_home, "supervisor", instance=os.getpid())

    async def serve() -> None:
        server = Server(options, provisions, services)
        server.attach(Connection(front, partial(StdioTransport, provisions.descriptors), buffer.take_unsent()))
        await server.serve()

    asyncio.run(serve())
