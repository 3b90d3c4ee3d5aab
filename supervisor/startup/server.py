"""The server: the connections of its clients, the process tree behind them, and their end."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.log import log as logs
from greenroom.runtime.log import logfile
from greenroom.runtime.threads.thread_import import import_in_thread
from greenroom.supervisor.frontend.connection import FLUSH_TIMEOUT, Connection, FrontEnd
from greenroom.supervisor.frontend.descriptors import Descriptors
from greenroom.supervisor.frontend.listener import Listener
from greenroom.supervisor.frontend.stdio import StdioTransport
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.departure import CLIENTS, RECORDS, Departure
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer
from greenroom.supervisor.startup.early_signals import STOP_SIGNALS, take_early_signals
from greenroom.supervisor.startup.last_threads import run_without_threads
from greenroom.supervisor.startup.provisions import Provisions

if TYPE_CHECKING:
    from greenroom.supervisor.control.control import ControlServer, GiveConnection
    from greenroom.supervisor.control.control_messages import ActionRefused, HandOver
    from greenroom.supervisor.control.metrics_listener import MetricsListener
    from greenroom.supervisor.conversations.host import ConversationHost
    from greenroom.supervisor.processes.tree import ProcessTree
    from greenroom.supervisor.telemetry.otel import Telemetry

log = logging.getLogger(__name__)

CLIENT_LEFT = "the client has left"
SHUTTING_DOWN = "the server is shutting down"
REPORT_DELAY = 1.0
"""Seconds after the start of the control socket until what a report needs is imported, unless one is asked for before:
a first call does not wait for it, and neither does an operator who asks a server that is in trouble."""
METRICS_TRIES = 5
"""How often a host that replaces another tries to listen at the address of the other's metrics."""
METRICS_PAUSE = 0.1
"""Seconds between two of these."""


class GivesWay(Protocol):
    """How this server gives way to another host (`greenroom.supervisor.startup.replacement.handover`)."""

    def asked(self, request: "HandOver", pid: int) -> "ActionRefused | GiveConnection":
        """Return what goes on with the connection of a process that wants to take over, or why it cannot."""

    async def finish(self) -> None:
        """Serve what is left once another host has taken over, until nothing is."""

    def close(self) -> None:
        """End the connection to the other host."""


class Server:
    """Serves clients over one process tree, until a signal arrives, or the last client has left (unless told else)."""

    def __init__(
        self,
        options: ServerOptions,
        provisions: Provisions,
        services: Sequence[str] = (),
        listeners: Sequence[Listener] = (),
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
        gives_way: "Callable[[Server], GivesWay] | None" = None,
        *,
        listens_last: bool = False,
    ) -> None:
        """`services` are the modules that its front ends need in `attach`; they are imported while the loop runs.

        With `listeners` it outlives its clients, and lets turns end before it ends itself (`Limits.drain`).
        `on_ready` is called when conversations can be had, `on_stopping` when the end begins. `gives_way` makes what
        lets another host replace this one. With `listens_last` clients are taken in only once all else is up. Must be
        made on the running loop.
        """
        self._services = services
        self._listeners = listeners
        self._on_ready, self._on_stopping = on_ready, on_stopping
        self._options = options
        self._provisions = provisions
        self._make_gives_way = gives_way
        self._gives_way: GivesWay | None = None
        self._listens_last = listens_last
        self._stop = asyncio.Event()
        self._replaced = asyncio.Event()
        self._hurry = asyncio.Event()
        self._signals = 0
        self.ended_by: signal.Signals | None = None
        """The first signal that told it to end."""
        self._connections: list[Connection] = []
        """Those that are served, oldest first."""
        self._beside: set[asyncio.Task[None]] = set()
        self._host: ConversationHost | None = None
        self._tree: ProcessTree | None = None
        self._control: ControlServer | None = None
        self._telemetry: Telemetry | None = None
        self._metrics: MetricsListener | None = None
        self._is_open = False
        self._retention: asyncio.Task[None] | None = None

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections that are being served, oldest first."""
        return self._connections

    @property
    def host(self) -> "ConversationHost":
        """The conversations. To be asked for only once they are there."""
        assert self._host is not None, "clients are let in when the conversations are there"
        return self._host

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End as at a signal."""
        self._stop.set()

    def replaced(self) -> None:
        """Note that another host has taken over: what is left is served until nothing is."""
        if self._host is not None:
            self._host.conversations.pursues_goals = False
        self._replaced.set()

    def attach(self, connection: Connection) -> None:
        """Serve another client until its input ends."""
        self._connections.append(connection)
        connection.start()
        if self._host is not None and self._is_open:
            connection.attach(self._host)
        self._run_beside(self._serve(connection), "connection")

    def refusal(self) -> str | None:
        """Return why no further client is taken at the moment, for people; `None` where one is."""
        if self._stop.is_set():
            return SHUTTING_DOWN
        if len(self._connections) >= self._options.limits.max_clients:
            return f"{len(self._connections)} clients are connected already (`greenroom.max_clients`)"
        return None

    async def serve(self) -> None:
        """Run until the end, and leave no process or file behind."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        for number in take_early_signals():
            self._signalled(number)
        try:
            if not self._listens_last:
                await self._listen()
            await import_in_thread("greenroom.supervisor.startup.processes")
            host = self._host = await self._start_processes()
            await self._start_telemetry(host)
            for module in self._services:
                await import_in_thread(module)
            self._let_in(host)
            await import_in_thread("greenroom.supervisor.control.inspection")
            await self._open_control(host)
            _collect_garbage()
            if self._listens_last:
                await self._listen()
            await self._open_metrics(host)
            if not self._stop.is_set():
                self._on_ready()
                self._begin_retention(host)
            await _first(self._stop.wait(), self._replaced.wait())
            if self._replaced.is_set():
                self._close_metrics()
                await self._end_retention()
                await self._finish()
            if self._stop.is_set() or not self._replaced.is_set():
                await self._drain(host)
        finally:
            await self._close()

    async def _listen(self) -> None:
        """Start the listeners, unless it is told to end before."""
        for listener in self._listeners:
            await _first(listener.start(self), self._stop.wait())

    async def _finish(self) -> None:
        """Serve what another host has left here, for a limited time."""
        if self._gives_way is not None:
            await _first(self._gives_way.finish(), self._stop.wait(), within_s=self._options.limits.replaced)

    async def _start_processes(self) -> "ConversationHost":
        from greenroom.supervisor.startup import processes

        given = self._provisions
        engine = processes.make_engine(given.fork_server, given.launch, given.spawn)
        host = processes.make_host(self._options, engine, given.environment, given.secrets)
        self._tree = host.tree
        await host.tree.start(host)
        return host

    async def _start_telemetry(self, host: "ConversationHost") -> None:
        """Begin to send traces and events, if that is asked for, before the first call."""
        if self._options.otel is None:
            return
        try:
            await import_in_thread("greenroom.supervisor.telemetry.otel")
        except ImportError as error:
            log.error("no telemetry is sent: %s; it needs `pip install 'greenroom[otel]'`", error)
            return
        from greenroom.supervisor.telemetry.collect import FOOTPRINT_AGE, MetricsReader
        from greenroom.supervisor.telemetry.otel import start_telemetry

        reader = MetricsReader(host, self._connections, footprint_age=FOOTPRINT_AGE)
        self._telemetry = start_telemetry(self._options.otel, host, reader)

    def _let_in(self, host: "ConversationHost") -> None:
        """Let the clients' calls through to the conversations: a first turn need not wait for what follows."""
        self._is_open = True
        host.open_calls = lambda: sum(connection.open_calls for connection in self._connections)
        for connection in self._connections:
            connection.attach(host)

    async def _open_control(self, host: "ConversationHost") -> None:
        """Listen on the control socket."""
        from greenroom.supervisor.control.inspection import REPORT_SOURCE, control_server

        if self._make_gives_way is not None:
            self._gives_way = self._make_gives_way(self)
        asked = None if self._gives_way is None else self._gives_way.asked
        self._control = control_server(host, self._connections, self._stop.set, asked)
        await self._control.start()
        self._run_beside(_import_later(REPORT_SOURCE, REPORT_DELAY), "import of what a report needs")

    async def _open_metrics(self, host: "ConversationHost") -> None:
        """Serve metrics, if that is asked for. If that fails, clients are served all the same."""
        listen = self._options.metrics_listen
        if listen is None:
            return
        await import_in_thread("greenroom.supervisor.control.metrics_listener")
        gc.freeze()  # it is as much as all that was imported before
        from greenroom.supervisor.control.metrics_listener import MetricsListener
        from greenroom.supervisor.telemetry.collect import FOOTPRINT_AGE, MetricsReader

        read = MetricsReader(host, self._connections, footprint_age=FOOTPRINT_AGE).read
        for tries_left in reversed(range(METRICS_TRIES if self._listens_last else 1)):
            try:
                metrics = MetricsListener(listen, self._options.metrics_users, read)
                log.info("metrics are served at %s", await metrics.start())
            except GreenroomError as error:
                if not tries_left:
                    log.error("no metrics are served: %s", error)
                else:  # the host that is replaced may not have closed its listener yet
                    await asyncio.sleep(METRICS_PAUSE)
            else:
                self._metrics = metrics
                return

    def _close_metrics(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None

    def _begin_retention(self, host: "ConversationHost") -> None:
        """Look after old session files, where that is set."""
        options = self._options
        if not (options.compress_sessions_after_days or options.delete_sessions_after_days):
            return
        from greenroom.sessions.retention import Retention
        from greenroom.supervisor.conversations.jobs.retention_schedule import apply_retention

        retention = Retention(options.compress_sessions_after_days, options.delete_sessions_after_days)
        work = apply_retention(host.jobs, retention)
        self._retention = asyncio.get_running_loop().create_task(work, name="retention")

    async def _end_retention(self) -> None:
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.wait((self._retention,))

    def _run_beside(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run something beside all else, at most until the end."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _serve(self, connection: Connection) -> None:
        """Wait for the end of a client; the server ends with the last one, as `_close` does."""
        await connection.wait_ended()
        if not self._listeners and self._connections == [connection]:
            self._stop.set()
            return
        self._connections.remove(connection)
        self._keep_count(connection)
        await connection.stop(CLIENT_LEFT)
        connection.leave(CLIENT_LEFT)
        await connection.close()

    def _keep_count(self, connection: Connection) -> None:
        """Let what a client has read and written count after it has left, too."""
        if self._host is not None:
            moved = connection.statistics()
            self._host.departed.update(read=moved.read, written=moved.written)

    async def _drain(self, host: "ConversationHost") -> None:
        """Take no more clients, and let the turns of those that are there end, for a limited time."""
        host.conversations.pursues_goals = False
        if not self._replaced.is_set():
            self._on_stopping()
        for listener in self._listeners:
            listener.stop()
        if not self._listeners or self._hurry.is_set():
            return
        at_rest = asyncio.Event()

        def look(*_: object) -> None:
            if host.conversations.have_no_turns:
                at_rest.set()

        host.conversations.turn_listeners.add(look)
        look()
        rest = asyncio.gather(at_rest.wait(), *(listener.drained() for listener in self._listeners))
        await _first(self._hurry.wait(), rest, within_s=self._options.limits.drain)
        host.conversations.turn_listeners.discard(look)

    async def _close(self) -> None:
        departure = Departure(asyncio.get_running_loop().time)
        await self._end_retention()
        for listener in self._listeners:
            await listener.close()
        if self._control is not None:
            self._control.close()
        self._close_metrics()
        await asyncio.gather(*(connection.stop(SHUTTING_DOWN) for connection in self._connections))
        if self._tree is not None:
            await self._tree.close(departure)
        if self._gives_way is not None:
            self._gives_way.close()  # not sooner: the other host then takes every conversation for its own
        within_s = departure.left(CLIENTS, FLUSH_TIMEOUT)
        await asyncio.gather(*(connection.close(within_s) for connection in self._connections))
        if self._host is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(departure.left(RECORDS)):
                    await self._host.close_shared()
        if self._telemetry is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(departure.left(RECORDS)):
                    await self._telemetry.close()
        await self._let_go()

    async def _let_go(self) -> None:
        """Wait for connections that are being closed already, and stop waiting for the end of others."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    def _signalled(self, number: signal.Signals) -> None:
        """End the server; at a second signal, without waiting for turns to end and for workers to save."""
        self.ended_by = self.ended_by or number
        if self._signals:
            self._hurry.set()
            if self._tree is not None:
                self._tree.hasten()
        self._signals += 1
        self._stop.set()


async def _import_later(name: str, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await import_in_thread(name)


def _collect_garbage() -> None:
    """Collect garbage from now on, but examine none of what has been imported: that stays as long as the process."""
    gc.freeze()
    gc.enable()


async def _first(*waits: Awaitable[object], within_s: float | None = None) -> None:
    """Wait for the first to be done, and end the others; raise what it raises."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def run_server(
    options: ServerOptions,
    provisions: Provisions,
    descriptors: Descriptors,
    front: FrontEnd,
    buffer: HandshakeBuffer,
    services: str,
) -> None:
    """Serve one client at standard input and output, on a loop of its own."""
    open_logs(options)

    async def serve() -> None:
        server = Server(options, provisions, (services,))
        server.attach(Connection(front, partial(StdioTransport, descriptors), buffer.take_unsent()))
        await server.serve()

    run_without_threads(serve())


def open_logs(options: ServerOptions) -> None:
    """Log to standard error and to the log of the home."""
    logs.set_up("supervisor", options.log_level, options.log_format)
    logfile.open_log(options.codex_home, "supervisor", instance=os.getpid())
