"""Servers as tests configure them, and the conversation that they belong to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from greenroom.config.section import check
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.elicitation import Elicit, decline
from greenroom.workers.mcp.servers import Bearers, McpServers, ServerContext
from greenroom.workers.mcp.tools.result import CallOutput
from tests.support.events import members
from tests.support.processes import ends, tree

HERE = Path(__file__).parent
T = TypeVar("T")


class Official(Protocol):
    """Makes the table of a server of the official SDK, with further members."""

    def __call__(self, **more: object) -> McpServer: ...


def executed_official(**more: object) -> McpServer:
    """Return the server of the official SDK as users start it, which imports all of the SDK."""
    return check(McpServer, {"command": sys.executable, "args": ["-I", str(HERE / "official.py")], **more})


def faulty(mode: str, *further: str, **more: object) -> McpServer:
    """Return a server that misbehaves."""
    args = ["-I", "-S", str(HERE / "faulty.py"), mode, *further]
    return check(McpServer, {"command": sys.executable, "args": args, **more})


class Events(list[JsonObject]):
    """What the client was told."""

    def take(self, told: Event) -> None:
        """Take an event."""
        self.append(members(told))

    def of(self, kind: str) -> list[JsonObject]:
        """Return the events of a type."""
        return [event for event in self if event["type"] == kind]

    @property
    def failures(self) -> dict[str, str]:
        """Why each server failed that did."""
        (complete,) = self.of("mcp_startup_complete")
        failed = msgspec.convert(complete["failed"], list[dict[str, str]])
        return {entry["server"]: entry["error"] for entry in failed}


class Hosted:
    """The servers of one conversation, and what came of them."""

    def __init__(self, servers: McpServers, events: Events) -> None:
        self.servers = servers
        self.events = events
        self._others = _below()

    @property
    def names(self) -> list[str]:
        """The tools that are offered, in order."""
        return [str(definition["name"]) for definition in self.servers.definitions()]

    def children(self) -> set[int]:
        """Return the processes below this one that came with these servers.

        What another process has forked for them is not among them: it ends with what stands for it there.
        """
        return _below(self._others) - self._others

    async def call(self, name: str, arguments: str = "") -> CallOutput:
        """Call a tool."""
        return await self.servers.call(TurnId("turn_1"), name, "call_1", arguments, self.events.take)

    async def answer(self, name: str, arguments: str = "") -> str:
        """Call a tool of the official server that answers with a text, and return that."""
        structured = (await self.call(name, arguments)).text.partition("Output:\n")[2]
        return msgspec.json.decode(structured, type=dict[str, str])["result"]


@asynccontextmanager
async def hosted(
    servers: Mapping[str, McpServer],
    *,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    elicit: Elicit = decline,
    bearer: Bearers | None = None,
    notice_after: float = 50.0,
) -> AsyncIterator[Hosted]:
    """Host servers, and see to it that none of their processes is left in the end."""

    async def lookup(names: tuple[str, ...]) -> Mapping[str, str]:
        return {name: value for name, value in (variables or {}).items() if name in names}

    events = Events()
    setting = ServerContext(
        variables=lookup,
        environment=os.environ if environment is None else environment,
        cwd=str(HERE),
        emit=events.take,
        bearer=bearer,
        elicit=elicit,
        notice_after=notice_after,
    )
    hosts = McpServers(servers, setting)
    host = Hosted(hosts, events)
    try:
        yield host
    finally:
        started = host.children()
        await hosts.close()
        assert [pid for pid in started if not ends(pid, 0)] == []


def _below(others: Collection[int] = ()) -> set[int]:
    """Return every process below this one, without those below others."""
    found = tree(os.getpid())[1:]
    beyond = {process.pid for other in others for process in tree(other)[1:]}
    return {process.pid for process in found} - beyond


def running(test: Callable[[], Awaitable[T]]) -> T:
    """Run a test that must not take long."""

    async def limited() -> T:
        async with asyncio.timeout(45):
            return await test()

    return asyncio.run(limited())
