"""The model can list and read the resources of the servers that have some, and learns what went wrong."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.tools.calls import RemoteCallError
from greenroom.workers.mcp.tools.resource_tools import NAMES, NO_SERVER, ResourceMethod, ResourceTools, tool_for
from tests.workers.mcp.cast import Official, executed_official, hosted, running

pytestmark = pytest.mark.processes

OFFICIAL: Final = ["list_mcp_resource_templates", "list_mcp_resources", "read_mcp_resource"]


class Shelf:
    """A server that answers from a table."""

    def __init__(self, answers: Mapping[str, JsonObject | str], *, has_resources: bool = True) -> None:
        self.answers = answers
        self.has_resources = has_resources
        self.asked: list[tuple[ResourceMethod, JsonObject]] = []

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        self.asked.append((method, params))
        answer = self.answers[method]
        if isinstance(answer, str):
            raise RemoteCallError(answer)
        return answer


def tools(*hidden: tuple[str, str], **servers: Shelf) -> ResourceTools:
    return ResourceTools(servers, lambda server, tool: (server, tool) not in hidden)


def call(resource_tools: ResourceTools, name: str, **arguments: object) -> object:
    result = asyncio.run(resource_tools.call(name, dict(arguments)))
    assert result["content"] == []
    return result["structuredContent"]


def names(resource_tools: ResourceTools) -> list[str]:
    return [str(definition["name"]) for definition in resource_tools.definitions]


def test_they_are_offered_while_a_server_has_resources() -> None:
    assert names(tools()) == names(tools(a=Shelf({}, has_resources=False))) == []
    assert names(tools(a=Shelf({}, has_resources=False), b=Shelf({}))) == OFFICIAL == sorted(NAMES)


def test_what_the_table_of_a_server_leaves_out_is_not_offered_and_not_called() -> None:
    shelf = Shelf({"resources/list": {"resources": []}})
    some = tools(("a", "read_mcp_resource"), a=shelf)
    assert names(some) == OFFICIAL[:2]
    with pytest.raises(RemoteCallError, match="no resources for this tool"):
        call(some, "read_mcp_resource", server="a", uri="x:")
    assert shelf.asked == []
    assert call(some, "list_mcp_resources") == {"resources": []}


@pytest.mark.parametrize(
    ("name", "method", "member"),
    [
        ("list_mcp_resources", "resources/list", "resources"),
        ("list_mcp_resource_templates", "resources/templates/list", "resourceTemplates"),
    ],
)
def test_lists_tell_the_server_of_each_entry(name: str, method: str, member: str) -> None:
    first = Shelf({method: {member: [{"uri": "a:1", "server": "b"}, "junk"], "nextCursor": "2"}})
    second = Shelf({method: {member: [{"uri": "b:1"}]}})
    broken, empty = Shelf({method: "timed out"}), Shelf({}, has_resources=False)
    some = tools(a=first, b=second, c=broken, d=empty)
    assert call(some, name) == {
        member: [{"server": "a", "uri": "a:1"}, {"server": "b", "uri": "b:1"}],
        "failed": {"c": f"{method} failed: timed out"},
        "more": ["a"],
    }
    assert call(some, name, server="a", cursor="1") == {
        "server": "a",
        member: [{"server": "a", "uri": "a:1"}],
        "nextCursor": "2",
    }
    assert first.asked == [(method, {}), (method, {"cursor": "1"})]
    assert call(some, name, server="b") == {"server": "b", member: [{"server": "b", "uri": "b:1"}]}


def test_a_resource_is_read_from_the_server_that_is_named() -> None:
    contents: list[JsonObject] = [{"uri": "a:1", "text": "words"}, {"uri": "a:1", "blob": "[400 characters of base64]"}]
    shelf = Shelf({"resources/read": {"contents": [contents[0], {"uri": "a:1", "blob": "A" * 400}]}})
    found = call(tools(a=shelf, b=Shelf({})), "read_mcp_resource", server="a", uri="a:1")
    assert found == {"server": "a", "uri": "a:1", "contents": contents}
    assert shelf.asked == [("resources/read", {"uri": "a:1"})]


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("read_mcp_resource", {"server": "b", "uri": "x"}, "resources/read failed: unknown MCP server 'b'"),
        ("read_mcp_resource", {"server": "a", "uri": "x"}, "resources/read failed: not there"),
        ("read_mcp_resource", {"server": "a"}, "failed to parse arguments: .*uri"),
        ("list_mcp_resources", {"cursor": "2"}, "cursor can only be used when a server is specified"),
        ("list_mcp_resources", {"server": 7}, "failed to parse arguments: "),
    ],
)
def test_what_goes_wrong_is_told(name: str, arguments: JsonObject, text: str) -> None:
    with pytest.raises(RemoteCallError, match=text):
        call(tools(a=Shelf({"resources/read": "not there"})), name, **arguments)


OBJECTS = st.dictionaries(st.text(), st.integers()).map(lambda value: msgspec.json.encode(value).decode())


@given(st.text() | OBJECTS)
def test_any_arguments_are_those_of_some_server(arguments: str) -> None:
    assert tool_for("read_mcp_resource", arguments).server == NO_SERVER
    assert tool_for("read_mcp_resource", '{"server":"docs"}').server == "docs"
    assert tool_for("read_mcp_resource", arguments).hints.tool_class == "reading"


def test_the_resources_of_a_real_server_are_listed_and_read(official: Official) -> None:
    async def test() -> None:
        async with hosted({"docs": official()}) as host:
            await host.servers.ready()
            assert set(OFFICIAL) <= set(host.names)
            assert host.names == sorted(host.names)
            assert all(host.servers.knows(name) for name in OFFICIAL)
            listed = await host.call("list_mcp_resources")
            assert '"uri":"shelf://books"' in listed.text
            assert '"server":"docs"' in listed.text
            templates = await host.call("list_mcp_resource_templates", '{"server":"docs"}')
            assert '"uriTemplate":"shelf://books/{title}"' in templates.text
            read = await host.call("read_mcp_resource", '{"server":"docs","uri":"shelf://books/emma"}')
            assert read.success
            assert "The text of emma." in read.text
            begin, end = host.events[-2:]
            invocation = {
                "server": "docs",
                "tool": "read_mcp_resource",
                "arguments": {"server": "docs", "uri": "shelf://books/emma"},
            }
            assert begin == {
                "type": "mcp_tool_call_begin",
                "turn_id": "turn_1",
                "call_id": "call_1",
                "invocation": invocation,
            }
            assert (end["type"], end["invocation"]) == ("mcp_tool_call_end", invocation)
            lost = await host.call("read_mcp_resource", '{"server":"docs","uri":"shelf://books/lost"}')
            assert not lost.success
            assert "resources/read failed" in lost.text
            missing = await host.call("read_mcp_resource", '{"server":"docs","uri":"nowhere:"}')
            assert not missing.success

    running(test)


def test_a_server_that_has_gone_is_started_again_for_a_resource() -> None:
    async def test() -> None:
        async with hosted({"docs": executed_official()}) as host:
            await host.servers.ready()
            host.servers.kill_all()
            read = await host.call("read_mcp_resource", '{"server":"docs","uri":"shelf://books"}')
            while not read.success:  # the end of the server may not have been noticed yet
                read = await host.call("read_mcp_resource", '{"server":"docs","uri":"shelf://books"}')
            assert "Emma" in read.text

    running(test)


def test_a_server_whose_tools_are_chosen_has_no_resource_tools(official: Official) -> None:
    async def test() -> None:
        async with hosted({"docs": official(enabled_tools=["echo"])}) as host:
            await host.servers.ready()
            assert host.names == ["docs__echo"]

    running(test)
