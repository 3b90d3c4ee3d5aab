"""`greenroom mcp-server`: the connection, the process tree behind it, and their end."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from greenroom.protocol.mcp.peer import McpPeer
from greenroom.runtime import log as logs
from greenroom.runtime import logfile, loop
from greenroom.runtime.launch import Launched
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.mcp.front import Front, Services
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer

if TYPE_CHECKING:
    from greenroom.supervisor.control.control import ControlServer
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.frontend.conversation_api.account_methods import AccountMethods
    from greenroom.supervisor.frontend.mcp.features import ClientFeatures
    from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
    from greenroom.supervisor.frontend.mcp.tasks import Tasks
    from greenroom.supervisor.frontend.request_queue import RequestQueue
    from greenroom.supervisor.processes.tree import ProcessTree

log = logging.getLogger(__name__)

FLUSH_TIMEOUT = 0.3
"""Seconds that the client has for reading the last answers."""
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
    """Serves one client until its input ends or a signal arrives."""

    def __init__(self, options: ServerOptions, provisions: Provisions, front: Front, buffer: HandshakeBuffer) -> None:
        self._options = options
        self._provisions = provisions
        self._stop = asyncio.Event()
        self._pressed = False
        self._signals = 0
        self._tree: ProcessTree | None = None
        self._accounts: AccountMethods | None = None
        self._api: RequestQueue | None = None
        self._subscriptions: Subscriptions | None = None
        self._tasks: Tasks | None = None
        self._features: ClientFeatures | None = None
        self._control: ControlServer | None = None
        self._front = front
        self._transport = StdioTransport(provisions.descriptors, front.receive, self._input_ended, self._feel_pressure)
        front.write_to(self._transport.write)
        self._transport.write(buffer.take_unsent())

    async def serve(self) -> None:
        """Run until the end, and leave no process or file behind."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        self._transport.start()
        try:
            await _import_in_thread("greenroom.supervisor.startup.processes")
            host = await self._start_processes()
            await _import_in_thread("greenroom.supervisor.startup.wiring")
            await self._open(host)
            await self._stop.wait()
        finally:
            self._front.refuse_early("the server is shutting down")
            if self._control is not None:
                self._control.close()
            if self._features is not None:
                await self._features.close()
            if self._accounts is not None:
                await self._accounts.close()
            if self._api is not None:
                await self._api.close()
            if self._tree is not None:
                await self._tree.close()
            if self._tasks is not None:
                await self._tasks.close()
            if self._subscriptions is not None:
                self._subscriptions.close()
            await self._flush()
            self._transport.close()

    async def _start_processes(self) -> "ConversationHost":
        from greenroom.supervisor.startup import processes

        engine = processes.make_engine(self._provisions.fork_server, self._provisions.launch, self._provisions.spawn)
        host = processes.make_host(
            self._options,
            engine,
            self._provisions.environment,
            self._provisions.secrets,
            lambda: self._front.user_agent,
        )
        self._tree = host.tree
        await host.tree.start(host)
        host.tree.press(self._pressed)
        return host

    async def _open(self, host: "ConversationHost") -> None:
        """Let the client's calls through to the conversations."""
        self._front.attach_services(partial(self._build, host))
        if self._control is not None:
            await self._control.start()

    def _build(self, host: "ConversationHost", peer: McpPeer, write: Callable[[bytes], None]) -> Services:
        from greenroom.supervisor.startup import wiring

        self._accounts = accounts = wiring.make_accounts(peer, write, host, self._options, self._provisions.environment)
        self._subscriptions = subscriptions = wiring.make_subscriptions(peer, write)
        self._tasks = tasks = wiring.make_tasks(peer, write, host, self._options, subscriptions)
        self._features = features = wiring.make_features(
            peer, write, self._transport.drain, host, self._options, self._front, subscriptions
        )
        tool_calls = wiring.make_tool_calls(peer, write, host, self._options, self._front.can_ask, tasks)
        self._api = api = wiring.make_api(peer, write, host, tool_calls, self._options, lambda: self._front.user_agent)
        self._control = wiring.make_control(
            self._options,
            self._provisions.environment,
            host,
            tool_calls,
            self._transport.statistics,
            self._front,
            self._stop.set,
        )
        handlers = {
            **accounts.handlers,
            **features.handlers,
            **subscriptions.handlers,
            **tasks.handlers,
            **api.handlers,
        }
        return Services(tool_calls, handlers, (tool_calls.cancel, subscriptions.cancel), features.tools)

    def _signalled(self) -> None:
        """End the server; at a second signal, without waiting for workers to save."""
        if self._signals and self._tree is not None:
            self._tree.hasten()
        self._signals += 1
        self._stop.set()

    def _input_ended(self) -> None:
        self._front.receive_end()
        self._stop.set()

    def _feel_pressure(self, pressed: bool) -> None:
        self._pressed = pressed
        if self._tree is not None:
            self._tree.press(pressed)

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._transport.drain()
        except TimeoutError:
            log.warning("the client did not read its last answers")


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


def run(options: ServerOptions, provisions: Provisions, front: Front, buffer: HandshakeBuffer) -> None:
    """Serve on a loop of its own."""
    logs.set_up("supervisor", options.log_level)
    logfile.set_up(options.codex_home, "supervisor", instance=os.getpid())

    async def serve() -> None:
        await Server(options, provisions, front, buffer).serve()

    loop.run(serve())
