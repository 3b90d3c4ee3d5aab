"""The user's own MCP servers: their tools reach the model, their answers too, and nothing of them stays behind."""

import json
import sys
from pathlib import Path

import pytest

from supervisor.demo.script import Call, Text, rule
from tests.support.client import kinds, text
from tests.support.stage import Stage

OFFICIAL = Path(__file__).parent.parent / "workers" / "mcp" / "official.py"
SERVERS = """
[mcp_servers.shelf]
command = "{program}"
args = {args}
required = {required}
"""

ECHO = rule("ask the shelf", [Call("shelf__echo", {"text": "sesame", "times": 2})], [Text("Thanks.")])


def configured(program: str = sys.executable, required: bool = False) -> str:
    return SERVERS.format(program=program, args=json.dumps(["-I", str(OFFICIAL)]), required=str(required).lower())


def test_a_tool_of_the_users_server_is_offered_called_and_answered(stage: Stage, engine: str) -> None:
    model = stage.play(ECHO, more=configured())
    server = stage.serve(engine)
    call = server.client.codex("ask the shelf", cwd=stage.cwd)
    assert text(server.client.result(call)) == "Thanks."
    answers = [item for item in model.requests()[1].json["input"] if item["type"] == "function_call_output"]
    assert ["sesamesesame" in answer["output"] for answer in answers] == [True]
    events = server.client.events(call)
    assert kinds(events).count("mcp_tool_call_begin") == kinds(events).count("mcp_tool_call_end") == 1
    offered = [tool["name"] for tool in model.requests()[0].json["tools"]]
    assert "shelf__echo" in offered
    assert server.leave() == 0
    assert stage.left_over() == []


@pytest.mark.parametrize("required", [False, True])
def test_a_server_that_cannot_start_costs_its_tools_or_where_it_is_required_the_turn(
    stage: Stage, engine: str, required: bool
) -> None:
    stage.play(rule("hello", [Text("Hello.")]), more=configured("/nonexistent/program", required))
    client = stage.serve(engine).client
    result = client.result(client.codex("hello", cwd=stage.cwd))
    assert result.get("isError", False) is required
    assert ("shelf" in text(result)) is required
