"""The user's own MCP servers: their tools reach the model, their answers too, and nothing of them stays behind."""

import json
import sys
from pathlib import Path

import pytest

from greenroom.demo.script import Call, CommandStep, Quote, Text, rule
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK
from tests.broker.mcp_servers import NAME, Served
from tests.support.client import Client, Message, kinds, text, thread_id
from tests.support.model import members
from tests.support.stage import Stage

PROGRAMS = Path(__file__).parent.parent / "workers" / "mcp"
OFFICIAL = (str(PROGRAMS / "official.py"),)
SIMPLE = (str(PROGRAMS / "faulty.py"), "faultless")
"""For tests in which the server hardly matters: it starts in a tenth of the time."""
SERVERS = """
[mcp_servers.shelf]
command = "{program}"
args = {args}
required = {required}
"""
ASKING = '\n[mcp_servers.shelf.tools.go]\napproval_mode = "prompt"\n'
ON_REQUEST = {"approval_policy": "on-request", "sandbox": "workspace-write"}

ECHO = rule("ask the shelf", [Call("shelf__echo", {"text": "sesame", "times": 2})], [Text("Thanks.")])


def configured(program: str = sys.executable, required: bool = True, server: tuple[str, ...] = OFFICIAL) -> str:
    return SERVERS.format(program=program, args=json.dumps(["-I", *server]), required=str(required).lower())


def test_a_tool_of_the_users_server_is_offered_called_and_answered(stage: Stage, engine: str) -> None:
    model = stage.play(ECHO, more=configured())
    server = stage.serve(engine)
    call = server.client.codex("ask the shelf", cwd=stage.cwd)
    assert text(server.client.result(call)) == "Thanks."
    answers = [item for item in members(model.requests()[1])["input"] if item["type"] == "function_call_output"]
    assert ["sesamesesame" in answer["output"] for answer in answers] == [True]
    events = server.client.events(call)
    assert kinds(events).count("mcp_tool_call_begin") == kinds(events).count("mcp_tool_call_end") == 1
    offered = [tool["name"] for tool in members(model.requests()[0])["tools"]]
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


def test_a_server_whose_table_is_wrong_is_left_out_and_the_others_are_used(stage: Stage, engine: str) -> None:
    wrong = '\n[mcp_servers.broken]\nstartup_timeout_sec = 5\n[mcp_servers.odd]\ncommand = "x"\nenv = { A = 1 }\n'
    model = stage.play(rule("hello", [Text("Hello.")]), more=configured(server=SIMPLE) + wrong)
    client = stage.serve(engine).client
    call = client.codex("hello", cwd=stage.cwd)
    assert text(client.result(call)) == "Hello."
    assert "shelf__go" in [tool["name"] for tool in members(model.requests()[0])["tools"]]
    events = client.all_events(call)
    warnings = [event["message"] for event in events if event["type"] == "warning"]
    assert [warning.split("`")[1] for warning in warnings] == ["mcp_servers.broken", "mcp_servers.odd"]
    (complete,) = [event for event in events if event["type"] == "mcp_startup_complete"]
    assert complete["ready"] == ["shelf"]
    assert {entry["server"] for entry in complete["failed"]} == {"broken", "odd"}


def test_a_server_that_was_logged_in_to_is_used_and_its_tokens_stay_with_the_broker(stage: Stage, engine: str) -> None:
    """A command that looks for the file does not find it, though it may read all else."""
    from greenroom.supervisor.cli import mcp_login

    look = rule("look", [CommandStep(("cat", f"{stage.home.path}/.credentials.json"))], [Quote("I saw: ")])
    use = rule("use", [Call(f"{NAME}__go", {})], [Quote("It says: ")])
    with Served() as served:
        stage.play(look, use)
        config = stage.home.path / "config.toml"
        config.write_text(f'mcp_oauth_credentials_store = "file"\n{config.read_text()}\n{served.guarded.config_table}')
        served.guarded.lasts = 10
        assert mcp_login.log_in(str(stage.home.path), NAME, open_url=served.open_url) == 0
        client = stage.serve(engine).client
        assert "done" in text(client.result(client.codex("use", cwd=stage.cwd)))
        assert served.guarded.count("refresh_token") >= 1
        tokens = [*served.guarded.valid, *served.guarded.refresh_tokens]
        shown = text(client.result(client.codex("look", cwd=stage.cwd, sandbox="read-only")))
        assert not any(token in shown for token in tokens)
        saved = "".join(path.read_text() for path in stage.home.path.rglob("*.jsonl")) + stage.log.read_text()
        assert not any(token in saved for token in tokens)


def question(client: Client) -> Message:
    """Return the next question to the user."""
    return client.until(lambda message: message.get("method") == "elicitation/create")


def test_a_call_waits_for_the_user_and_is_made_once_they_agree(stage: Stage, engine: str) -> None:
    asking = rule("ask the shelf", [Call("shelf__go", {"text": "sesame"})], [Quote()])
    stage.play(asking, more=configured(server=SIMPLE) + ASKING)
    client = stage.start("--engine", engine).client
    client.initialize(capabilities={"elicitation": {}})
    call = client.codex("ask the shelf", cwd=stage.cwd, **ON_REQUEST)
    asked = question(client)
    assert asked["params"]["message"] == "Allow Codex to call the tool `go` of the MCP server `shelf`?"
    assert asked["params"]["_meta"]["tool_params"] == {"text": "sesame"}
    assert "mcp_tool_call_begin" not in kinds(client.events(call))
    client.send({"id": asked["id"], "result": {"action": "accept", "content": {}, "_meta": {"persist": "session"}}})
    result = client.result(call)
    assert "gone" in text(result)
    assert kinds(client.events(call)).count("elicitation_request") == 1
    again = client.reply(thread_id(result), "ask the shelf")
    assert "gone" in text(client.result(again))
    assert "elicitation_request" not in kinds(client.events(again))


def test_a_call_that_nobody_can_approve_is_not_made(stage: Stage) -> None:
    stage.play(rule("ask the shelf", [Call("shelf__go", {})], [Quote()]), more=configured(server=SIMPLE) + ASKING)
    client = stage.serve("fork").client
    for policy, told in (("on-request", str(CANNOT_ASK.reason)), ("never", "the approval policy is `never`")):
        call = client.codex("ask the shelf", cwd=stage.cwd, **{**ON_REQUEST, "approval_policy": policy})
        result = text(client.result(call))
        assert told in result
        assert "default_tools_approval_mode" in result
        (end,) = (event for event in client.events(call) if event["type"] == "mcp_tool_call_end")
        assert "Err" in end["result"]


def test_a_form_of_a_server_is_filled_in_by_our_client(stage: Stage, engine: str) -> None:
    stage.play(
        rule("who am I", [Call("shelf__ask_name", {})], [Quote()]),
        more=configured() + '\n[mcp_servers.shelf.tools.ask_name]\napproval_mode = "approve"\n',
    )
    client = stage.start("--engine", engine).client
    client.initialize(capabilities={"elicitation": {}})
    call = client.codex("who am I", cwd=stage.cwd, **ON_REQUEST)
    asked = question(client)
    assert asked["params"]["message"] == "shelf: Who are you?"
    assert list(asked["params"]["requestedSchema"]["properties"]) == ["name"]
    client.send({"id": asked["id"], "result": {"action": "accept", "content": {"name": "Ada"}}})
    assert "accept Ada" in text(client.result(call))
