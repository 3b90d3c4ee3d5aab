"""A client asks the MCP servers of its threads, and of the configuration."""

import json
import sys
from typing import Any

from greenroom.demo.script import Text, rule
from tests.server.test_mcp_servers import OFFICIAL
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])
SHELF = f"""
[mcp_servers.shelf]
command = "{sys.executable}"
args = {json.dumps(["-I", *OFFICIAL])}
startup_timeout_sec = 50
disabled_tools = ["where"]
"""
BROKEN = '\n[mcp_servers.broken]\ncommand = "/nonexistent/program"\n'


def result(client: AppClient, method: str, **params: object) -> dict[str, Any]:
    return client.result(client.request(method, params), 60)


def test_servers_are_listed_called_read_and_reloaded(stage: Stage, app: Serve) -> None:
    stage.play(HELLO, more=SHELF)
    client = app().app
    # without a thread, those of the configuration; nothing stays behind
    listed = result(client, "mcpServerStatus/list")["data"]
    assert [(one["name"], one["runtimeStatus"]) for one in listed] == [("shelf", "connected")]
    assert result(client, "thread/loaded/list")["data"] == []
    # in a thread
    thread = client.start(cwd=stage.cwd)
    (shelf,) = result(client, "mcpServerStatus/list", threadId=thread)["data"]
    assert "echo" in shelf["tools"]
    assert "where" not in shelf["tools"]
    assert [one["uri"] for one in shelf["resources"]] == ["shelf://books"]
    assert [one["uriTemplate"] for one in shelf["resourceTemplates"]] == ["shelf://books/{title}"]
    brief = result(client, "mcpServerStatus/list", threadId=thread, detail="toolsAndAuthOnly")["data"]
    assert brief[0]["resources"] == []
    at = {"threadId": thread, "server": "shelf"}
    called = result(client, "mcpServer/tool/call", **at, tool="echo", arguments={"text": "ab", "times": 2})
    assert called["content"][0]["text"] == "abab"
    assert result(client, "mcpServer/tool/call", **at, tool="fail", arguments={})["isError"] is True
    read = result(client, "mcpServer/resource/read", **at, uri="shelf://books")
    assert read["contents"][0]["text"] == "Emma"
    for tool in ("where", "gone"):
        assert client.refused("mcpServer/tool/call", {**at, "tool": tool})[0] == -32600
    assert client.refused("mcpServer/tool/call", {**at, "tool": "echo", "arguments": [1]})[0] == -32602
    assert client.refused("mcpServer/resource/read", {**at, "uri": "shelf://books/lost"})[0] == -32600
    # other settings count once they are reloaded, and the thread goes on
    client.completed(client.say(thread, "hello"))
    stage.home.config.write_text(stage.home.config.read_text().replace(SHELF, BROKEN))
    assert [one["name"] for one in result(client, "mcpServerStatus/list", threadId=thread)["data"]] == ["shelf"]
    assert client.result(client.request("config/mcpServer/reload")) == {}
    listed = result(client, "mcpServerStatus/list", threadId=thread)["data"]
    assert [(one["name"], one["runtimeStatus"]) for one in listed] == [("broken", "failed")]
    assert listed[0]["toolsError"]
    assert client.completed(client.say(thread, "hello"))["status"] == "completed"


def test_items_are_injected_and_forks_leave_no_file(stage: Stage, app: Serve) -> None:
    model = stage.play(HELLO)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    client.completed(client.say(thread, "hello"))
    note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "by the way"}]}
    assert result(client, "thread/inject_items", threadId=thread, items=[note]) == {}
    assert client.refused("thread/inject_items", {"threadId": thread, "items": [{"type": "bogus"}]})[0] == -32600
    client.completed(client.say(thread, "hello"))
    assert "by the way" in json.dumps(model.requests()[-1].body.decode())
    before = sorted(stage.home.path.rglob("*.jsonl*"))
    fork = result(client, "thread/fork", threadId=thread, ephemeral=True)["thread"]
    assert (fork["ephemeral"], fork["path"], len(fork["turns"])) == (True, None, 2)
    assert client.completed(client.say(fork["id"], "hello"))["status"] == "completed"
    assert "by the way" in json.dumps(model.requests()[-1].body.decode())
    assert sorted(stage.home.path.rglob("*.jsonl*")) == before
    assert result(client, "hooks/list", cwds=["/"])["data"] == [{"cwd": "/", "hooks": [], "errors": [], "warnings": []}]
