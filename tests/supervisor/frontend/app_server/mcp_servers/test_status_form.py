"""MCP servers are listed page by page."""

from msgspec import Raw

from greenroom.protocol.internal.requests import RemoteServer
from greenroom.supervisor.frontend.app_server.mcp_servers.status_form import status_page


def server(name: str) -> RemoteServer:
    tools = [Raw(b'{"name":"echo","inputSchema":{}}')]
    return RemoteServer(name=name, state="ready", auth="unknown", tools=tools, resources=[], templates=[])


def test_each_server_is_on_one_page() -> None:
    servers = [server(name) for name in ("a", "b", "c")]
    assert [one.name for one in status_page(servers, None, None).data] == ["a", "b", "c"]
    found: list[str] = []
    cursor: str | None = None
    for _ in range(2):
        page = status_page(servers, cursor, 2)
        found += [one.name for one in page.data]
        cursor = page.next_cursor
    assert (found, cursor) == (["a", "b", "c"], None)
    assert status_page(servers, "c", 2).data == []


def test_tools_are_found_by_their_names() -> None:
    (shown,) = status_page([server("a")], None, None).data
    assert (shown.runtime_status, bytes(shown.tools["echo"])) == ("connected", b'{"name":"echo","inputSchema":{}}')
