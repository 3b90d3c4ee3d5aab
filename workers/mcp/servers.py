"""The face of the package: all MCP servers of one conversation.

Promises: nothing is started before the first `ready`, and then everything at once; a server that fails costs its own
tools and nothing else; `close` leaves no process behind.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from greenroom.config.tables.providers import WireApi
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.errors import StartError
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.mcp import McpStartupComplete, McpStartupUpdate, ServerFailure
from greenroom.protocol.events.turn import WarningEvent
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.broker.answers import McpBearer
from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.mcp.approval import ToolApproval
from greenroom.workers.mcp.elicitation import Elicit, ElicitationQuestion, ElicitationReply, decline
from greenroom.workers.mcp.fault import error_text
from greenroom.workers.mcp.host import ServerHost
from greenroom.workers.mcp.startup import NOTICE_SECONDS, Startup
from greenroom.workers.mcp.tools import resource_tools
from greenroom.workers.mcp.tools.calls import Remote, RemoteCallError, call_tool
from greenroom.workers.mcp.tools.catalog import Catalog
from greenroom.workers.mcp.tools.naming import is_server_name
from greenroom.workers.mcp.tools.resource_tools import ResourceTools
from greenroom.workers.mcp.tools.result import CallOutput, noted, text_output
from greenroom.workers.mcp.transport.launch import StartupError, program, server_address
from greenroom.workers.tools.types import Emit

if TYPE_CHECKING:
    from greenroom.workers.mcp.connection import McpConnection
    from greenroom.workers.mcp.tools.tool import RemoteTool
    from greenroom.workers.mcp.transport.interface import McpTransport

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 5.0
"""How long a request waits for changed lists of tools. Later ones join a later request."""
CLOSE_SECONDS: Final = 1.5
"""How long servers may take to leave before they are killed."""
NOT_INSTALLED: Final = "the MCP client cannot be imported; install greenroom again, with all that it depends on"

McpServerState: TypeAlias = Literal["starting", "ready", "failed", "cancelled"]
Variables: TypeAlias = Callable[[tuple[str, ...]], Awaitable[Mapping[str, str]]]
"""Returns those of the variables that are set, also those that this process must not have."""
Bearers: TypeAlias = Callable[[str, str, str | None], Awaitable[McpBearer]]
"""Returns the bearer for a name and a URL; the third is the serial of one that was refused."""


class ServerStatus(msgspec.Struct, frozen=True):
    """Where one server is."""

    state: McpServerState
    error: str | None = None


class ServerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What servers need of the conversation."""

    variables: Variables
    environment: Mapping[str, str]
    """Those of this process, of which a program gets the few that every program gets."""
    cwd: str
    """Where programs run that have no `cwd` of their own."""
    emit: Emit
    bearer: Bearers | None = None
    """Who has what the user's logins to servers gave."""
    elicit: Elicit = decline
    wire: WireApi = "responses"
    """What the model's server speaks."""
    approval: ToolApproval | None = None
    """The gate that calls pass; all of them pass where there is none."""
    notice_after: float = NOTICE_SECONDS


class McpServers:
    """Lives as long as the conversation has a process."""

    def __init__(
        self, servers: Mapping[str, McpServer], setting: ServerContext, faulty: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`faulty`: servers that cannot be started as they are configured, and why; they count as failed."""
        self._faulty = faulty
        self._servers = {name: server for name, server in servers.items() if server.enabled}
        self._setting = setting
        self._groups = ProcessGroups()
        self._tasks: list[asyncio.Task[None]] = []
        self._assignments: dict[str, ServerHost] = {}
        self._notes: dict[str, list[str]] = {}
        """What the model is to know of the questions that the servers asked during their present calls."""
        self._states: dict[str, ServerStatus] = {}
        self._startup: Startup | None = None
        self._catalog = Catalog((), {})
        self._resources = ResourceTools(self._assignments, lambda name, tool: self._servers[name].offers(tool))
        self._definitions: Sequence[JsonObject] = ()
        self._closing = False

    @property
    def states(self) -> Mapping[str, ServerStatus]:
        """Every server that is started, and where it is."""
        return self._states

    @property
    def hosts(self) -> Mapping[str, ServerHost]:
        """Those that are there, or are starting."""
        return self._assignments

    async def settled(self, name: str | None = None) -> None:
        """Start the servers, if that is still to do, and wait until one, or each, is ready or has failed."""
        startup = self._start() if self._startup is None else self._startup
        await startup.settled(name)

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits for servers to start."""
        return self._startup is not None and self._startup.is_waiting

    async def ready(self) -> None:
        """Start the servers, if that is still to do, and wait for what the next request must know.

        That is: every required server, the others each for as long as its table says, and changes that servers have
        announced. Raises `StartError` where a required server failed.
        """
        startup = self._start() if self._startup is None else self._startup
        await startup.wait(self._check)
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_SECONDS):
                for host in list(self._assignments.values()):
                    await host.fresh()

    def definitions(self) -> Sequence[JsonObject]:
        """Return the tools as a request declares them, sorted. While it is the same object nothing has changed."""
        return self._definitions

    def knows(self, name: str, namespace: str | None = None) -> bool:
        """Tell whether a function that the model calls is a tool of a server."""
        return name in resource_tools.NAMES or self._catalog.find(name, namespace) is not None

    async def call(
        self, turn_id: TurnId, name: str, call_id: str, arguments: str, emit: Emit, namespace: str | None = None
    ) -> CallOutput:
        """Call a tool and return what the model is told, uncut. Only cancellation is raised."""
        remote: Remote
        if name in resource_tools.NAMES:
            tool, remote = resource_tools.tool_for(name, arguments), self._resources
        elif (found := self._catalog.find(name, namespace)) is not None:
            tool, remote = found, self._assignments.get(found.server, _GONE)
        else:
            return text_output(f"unsupported call: {name}", success=False)
        notes = self._notes.setdefault(tool.server, [])
        notes.clear()
        output = await call_tool(tool, turn_id, call_id, arguments, self._admit, remote, emit)
        return noted(output, notes)

    def kill_all(self) -> None:
        """Kill every program at once. Does not wait for it."""
        self._groups.kill_all()

    async def close(self) -> None:
        """End all servers. None of their processes is left."""
        self._closing = True
        for name, task in zip(self._servers, self._tasks, strict=False):
            host = self._assignments.get(name)
            if host is not None and self._states[name].state == "ready":
                host.stop()
            else:
                task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self.kill_all()

    def _start(self) -> Startup:
        self._startup = startup = Startup(self._servers, self._emit_and_wait, self._setting.notice_after)
        self._states = {name: ServerStatus("starting") for name in self._servers}
        self._tasks = [
            asyncio.create_task(self._host(name, server, startup), name=f"mcp-{name}")
            for name, server in self._servers.items()
        ]
        return startup

    async def _host(self, name: str, server: McpServer, startup: Startup) -> None:
        """Be one server's life."""

        async def on_tools() -> None:
            self._catalog = Catalog(self._all_tools(), self._servers, self._setting.wire)
            definitions = [*self._catalog.definitions, *self._resources.definitions]
            self._definitions = sorted(definitions, key=lambda definition: str(definition["name"]))
            if self._states[name].state == "starting":
                await self._settle(startup, name, ServerStatus("ready"))

        try:
            await self._emit_and_wait(McpStartupUpdate(server=name, status={"state": "starting"}))
            self._assignments[name] = host = ServerHost(name, partial(self._connection, name, server), on_tools)
            await host.run()
        except asyncio.CancelledError:
            await self._settle(startup, name, ServerStatus("cancelled"))
            raise
        except Exception as error:
            await self._settle(startup, name, ServerStatus("failed", error_text(error)))
        finally:
            self._assignments.pop(name, None)

    async def _connection(self, name: str, server: McpServer) -> "McpConnection":
        if not is_server_name(name):
            raise StartupError(f"invalid server name '{name}': must match pattern ^[a-zA-Z0-9_-]+$")
        names = server.credential_variables
        values = await self._setting.variables(names) if names else {}
        await load_client()
        from greenroom.workers.mcp.connection import McpConnection

        return McpConnection(name, server, self._transport(name, server, values), self._elicit)

    def _transport(self, name: str, server: McpServer, values: Mapping[str, str]) -> "McpTransport":
        if server.command is not None:
            from greenroom.workers.mcp.transport.stdio import ServerProcessTransport

            started = program(server, self._setting.cwd, self._setting.environment, values)
            return ServerProcessTransport(started, self._groups)
        from greenroom.workers.mcp.transport.http import HttpTransport

        place, ask = server_address(server, values), self._setting.bearer
        if ask is None or not place.can_log_in:
            return HttpTransport(place)
        return HttpTransport(place, name, partial(ask, name, place.url))

    async def _settle(self, startup: Startup, name: str, status: ServerStatus) -> None:
        """Say how a start went, and when it was the last, how all went. What happens later is only logged."""
        if startup.has_settled(name):
            if status.state == "failed":
                log.warning("the MCP server %r has gone: %s", name, status.error)
            return
        self._states[name] = status
        startup.settle(name)
        if self._closing:
            return
        told = {"state": status.state} if status.error is None else {"state": status.state, "error": status.error}
        await self._emit_and_wait(McpStartupUpdate(server=name, status=told))
        if startup.is_over:
            await self._emit_and_wait(self._summary())

    def _summary(self) -> McpStartupComplete:
        by_state: dict[McpServerState, list[str]] = {"ready": [], "failed": [], "cancelled": []}
        for name, status in self._states.items():
            by_state[status.state].append(name)
        failed = [ServerFailure(name, self._states[name].error or "") for name in by_state["failed"]]
        failed += [ServerFailure(name, fault) for name, fault in self._faulty.items()]
        return McpStartupComplete(ready=by_state["ready"], failed=failed, cancelled=by_state["cancelled"])

    def _all_tools(self) -> "list[RemoteTool]":
        return [tool for host in self._assignments.values() for tool in host.tools]

    def _check(self) -> None:
        required = (name for name, server in self._servers.items() if server.required)
        failed = {name: self._states[name] for name in required if self._states[name].state == "failed"}
        if failed:
            reasons = "; ".join(f"{name}: {status.error}" for name, status in failed.items())
            raise StartError(f"required MCP servers failed to initialize: {reasons}")

    async def _admit(self, tool: "RemoteTool", call_id: str, arguments: JsonObject | None) -> None:
        server = self._servers.get(tool.server)
        if self._setting.approval is not None and server is not None:
            await self._setting.approval.admit(tool, server, call_id, arguments)

    async def _elicit(self, question: ElicitationQuestion) -> ElicitationReply:
        reply = await self._setting.elicit(question)
        if reply.reason is not None:
            text = (
                f"a question of the MCP server `{question.server}` was answered with `{reply.action}`: {reply.reason}"
            )
            self._notes.setdefault(question.server, []).append(text)
            await self._emit_and_wait(WarningEvent(text))
        return reply

    async def _emit_and_wait(self, event: Event) -> None:
        waiting = self._setting.emit(event)
        if waiting is not None:
            await waiting


class _Gone:
    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:  # noqa: ARG002
        raise RemoteCallError("the server has ended")


_GONE: Final = _Gone()


async def load_client() -> None:
    """Import what needs the official client, away from the loop. Raises `StartupError` where it is not installed."""
    wanted = "greenroom.workers.mcp.connection"
    if wanted in sys.modules:
        return
    try:
        for module in (wanted, "greenroom.workers.mcp.transport.stdio", "greenroom.workers.mcp.transport.http"):
            await asyncio.to_thread(importlib.import_module, module)
    except ImportError as error:
        log.info("the MCP client cannot be imported: %s", error)
        raise StartupError(NOT_INSTALLED) from error
