"""What MCP servers offer, as a client is told of it, and calls that it makes itself."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

import msgspec
import pytest

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.internal.requests import RemoteServer
from greenroom.protocol.items import JsonObject
from greenroom.workers.approval.remote_tools import Hints
from greenroom.workers.mcp.inventory import PAGES, ServerInventory, faulty_servers
from greenroom.workers.mcp.servers import ServerStatus
from greenroom.workers.mcp.tools.calls import RemoteCallError
from greenroom.workers.mcp.tools.resource_tools import ResourceMethod
from greenroom.workers.mcp.tools.tool import RemoteTool

T = TypeVar("T")


class Host:
    """A server with two tools, which answers from a table."""

    def __init__(self, answers: Mapping[str, JsonObject | None] | None = None) -> None:
        self.answers = answers or {}
        self.has_resources = answers is not None
        self.tools = [
            RemoteTool("shelf", "echo", "Say it.", {"type": "object", "title": "t"}, Hints(read_only=True)),
            RemoteTool("shelf", "burn"),
        ]
        self.asked: list[tuple[str, object]] = []

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        self.asked.append((tool, arguments))
        return {"content": []}

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        self.asked.append((method, params))
        answer = self.answers[method]
        if answer is None:
            raise RemoteCallError("no")
        return answer


class Servers:
    """The servers of a conversation."""

    def __init__(self, states: dict[str, ServerStatus], hosts: dict[str, Host]) -> None:
        self.states = states
        self.hosts = hosts
        self.waited: list[str | None] = []

    async def settled(self, name: str | None = None) -> None:
        self.waited.append(name)


def table(**members: object) -> McpServer:
    return msgspec.convert({"command": "x", **members}, McpServer)


def inventory(host: Host | None = None, **configured: McpServer) -> ServerInventory:
    hosts = {} if host is None else {"shelf": host}
    states = {"shelf": ServerStatus("failed", "it is gone") if host is None else ServerStatus("ready")}
    return ServerInventory(configured or {"shelf": table()}, {"odd": "no `command`"}, Servers(states, hosts))


def result(awaitable: Awaitable[T]) -> T:
    async def wait() -> T:
        return await awaitable

    return asyncio.run(wait())


def servers(found: ServerInventory, only: str | None = None, *, full: bool = True) -> dict[str, RemoteServer]:
    return {server.name: server for server in result(found.servers(only, with_resources=full))}


def test_tools_are_told_as_the_server_lists_them_without_what_is_left_out() -> None:
    (shelf,) = servers(inventory(Host(), shelf=table(disabled_tools=["burn"])), "shelf").values()
    assert [msgspec.json.decode(tool) for tool in shelf.tools] == [
        {
            "name": "echo",
            "description": "Say it.",
            "inputSchema": {"type": "object", "title": "t"},
            "annotations": {"readOnlyHint": True},
        }
    ]
    (shelf,) = servers(inventory(Host()), "shelf").values()
    assert msgspec.json.decode(shelf.tools[1]) == {
        "name": "burn",
        "description": "",
        "inputSchema": {"type": "object"},
    }


def test_every_server_has_a_state() -> None:
    found = servers(inventory(None, shelf=table(), off=table(enabled=False)))
    assert {name: (server.state, server.error) for name, server in found.items()} == {
        "odd": ("failed", "no `command`"),
        "off": ("disabled", None),
        "shelf": ("failed", "it is gone"),
    }
    assert faulty_servers({"odd": "no `command`"}) == [found["odd"]]
    with pytest.raises(RemoteCallError, match="unknown MCP server 'x'"):
        servers(inventory(), "x")


@pytest.mark.parametrize(
    ("members", "auth", "origin"),
    [
        ({}, "unsupported", None),
        ({"command": None, "url": "https://user:pw@example.com/mcp?k=v"}, "unknown", "https://example.com"),
        (
            {"command": None, "url": "http://127.0.0.1:80/mcp", "bearer_token_env_var": "T"},
            "bearerToken",
            "http://127.0.0.1:80",
        ),
        ({"command": None, "url": "http://h/x", "http_headers": {"Authorization": "a"}}, "unsupported", "http://h"),
        ({"command": None, "url": "http://h:port/x"}, "unknown", None),
    ],
)
def test_of_an_address_only_the_origin_is_told(members: dict[str, object], auth: str, origin: str | None) -> None:
    (shelf,) = servers(inventory(Host(), shelf=table(**members)), "shelf").values()
    assert (shelf.auth, shelf.origin) == (auth, origin)


def test_resources_are_listed_page_by_page_and_never_without_end() -> None:
    entry = {"name": "b", "uri": "x:b"}
    host = Host(
        {
            "resources/list": {"resources": [entry, {"uri": "nameless"}, 7], "nextCursor": "more"},
            "resources/templates/list": None,
        }
    )
    (shelf,) = servers(inventory(host), "shelf").values()
    assert [msgspec.json.decode(one) for one in shelf.resources] == [entry] * PAGES
    assert shelf.templates == []
    assert host.asked[:2] == [("resources/list", {}), ("resources/list", {"cursor": "more"})]
    host.asked.clear()
    servers(inventory(host), "shelf", full=False)
    assert host.asked == []


def test_a_call_goes_to_what_is_offered_only() -> None:
    host = Host({"resources/read": {"contents": []}})
    found = inventory(host, shelf=table(disabled_tools=["burn"]), off=table(enabled=False))
    assert result(found.call("shelf", "echo", {"text": "x"})) == {"content": []}
    assert result(found.read_resource("shelf", "x:b")) == {"contents": []}
    assert host.asked == [("echo", {"text": "x"}), ("resources/read", {"uri": "x:b"})]
    for server, tool, why in (
        ("shelf", "burn", "offers no tool 'burn'"),
        ("shelf", "gone", "offers no tool 'gone'"),
        ("off", "echo", "disabled"),
        ("odd", "echo", "no `command`"),
        ("x", "echo", "unknown MCP server 'x'"),
    ):
        with pytest.raises(RemoteCallError, match=why):
            result(found.call(server, tool, None))
    with pytest.raises(RemoteCallError, match="it is gone"):
        result(inventory().call("shelf", "echo", None))
    with pytest.raises(RemoteCallError, match="has no resources"):
        result(inventory(Host()).read_resource("shelf", "x:b"))
