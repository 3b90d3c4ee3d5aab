"""Clients find conversations again, read them, stop them, close them and fork them, with tools."""

import json
from typing import Any

import jsonschema
import pytest

from greenroom.demo.script import Stall, Text, rule
from greenroom.protocol.mcp.session_tools import SESSION_TOOLS
from tests.support.client import Client, kind, text, thread_id
from tests.support.model import Gate, said
from tests.support.stage import Stage

RULES = (
    rule("hello", [Text("Good day.")]),
    rule("again", [Text("And again.")]),
    rule("stall", [Text("hm"), Stall()]),
)
SCHEMAS: dict[str, Any] = {str(tool["name"]): json.loads(json.dumps(tool["outputSchema"])) for tool in SESSION_TOOLS}
NOBODY = "01a20312-0577-77d3-9bb9-ad78bbf82560"


@pytest.fixture
def client(stage: Stage) -> Client:
    stage.play(*RULES)
    return stage.serve("fork").client


def use(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that must succeed and return its structured result, checked against its schema."""
    result = client.result(client.call(tool, **arguments))
    assert not result.get("isError"), result
    jsonschema.validate(result["structuredContent"], SCHEMAS[tool])
    found: dict[str, Any] = result["structuredContent"]
    return found


def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = client.result(client.call(tool, **arguments))
    assert result["isError"] is True
    return text(result)


def test_conversations_are_listed_with_how_they_stand(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = stage.serve(engine).client
    assert use(client, "codex-list") == {"conversations": []}
    first = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    second = client.event(call, "session_configured")["session_id"]
    running, idle = use(client, "codex-list")["conversations"]
    assert (running["threadId"], running["state"], running["title"]) == (second, "running", "stall")
    assert (idle["threadId"], idle["state"], idle["title"]) == (first, "idle", "hello")
    assert (idle["cwd"], idle["model"]) == (stage.cwd, "scripted")
    assert idle["ageSeconds"] >= 0
    other = stage.serve(engine).client
    assert [one["state"] for one in use(other, "codex-list")["conversations"]] == ["elsewhere", "elsewhere"]
    page = use(other, "codex-list", limit=1)
    assert [one["threadId"] for one in page["conversations"]] == [second]
    page = use(other, "codex-list", limit=1, cursor=page["nextCursor"])
    assert [one["threadId"] for one in page["conversations"]] == [first]
    assert "nextCursor" not in page


def test_a_conversation_is_read_from_its_end(client: Client) -> None:
    thread = thread_id(client.result(client.codex("hello")))
    client.result(client.reply(thread, "again"))
    told = use(client, "codex-read", threadId=thread)
    assert (told["turns"], told["leftOut"], told["title"]) == (2, 0, "hello")
    result = client.result(client.call("codex-read", threadId=thread, last=1))
    assert result["structuredContent"]["leftOut"] == 3
    assert text(result) == "\n*3 earlier passages are left out.*\n\n## Turn 2\n\n### Agent\n\nAnd again.\n"


def test_interrupting_ends_what_runs_and_what_waits_and_nothing_else(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = stage.serve(engine).client
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    thread = client.event(call, "session_configured")["session_id"]
    waiting = client.reply(thread, "again")
    assert use(client, "codex-interrupt", threadId=thread) == {"threadId": thread, "interrupted": 2}
    assert [kind(client.result(one)) for one in (call, waiting)] == ["turn_aborted", "turn_aborted"]
    assert use(client, "codex-interrupt", threadId=thread)["interrupted"] == 0
    assert text(client.result(client.reply(thread, "again"))) == "And again."


def test_a_closed_conversation_has_no_process_and_comes_back(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = stage.serve(engine, "-c", "greenroom.idle_workers=0").client
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    thread = client.event(call, "session_configured")["session_id"]
    assert use(client, "codex-close", threadId=thread)["interrupted"] == 1
    assert kind(client.result(call)) == "turn_aborted"
    assert text(client.result(client.reply(thread, "again"))) == "And again."
    assert use(client, "codex-close", threadId=thread)["interrupted"] == 0
    while use(client, "codex-list")["conversations"][0]["state"] != "parked":
        pass
    assert text(client.result(client.reply(thread, "again"))) == "And again."


def test_a_fork_goes_on_from_the_turn_it_was_made_of(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = stage.serve(engine).client
    thread = thread_id(client.result(client.codex("hello")))
    client.result(client.reply(thread, "again"))
    made = use(client, "codex-fork", threadId=thread, turn=1)
    assert (made["forkedFrom"], made["turns"]) == (thread, 1)
    assert thread_id(client.result(client.reply(made["threadId"], "again"))) == made["threadId"]
    assert said(stage.model.requests()[-1], "user")[-2:] == ["hello", "again"]
    assert use(client, "codex-fork", threadId=thread)["turns"] == 2
    assert "2 of its turns have ended" in refusal(client, "codex-fork", threadId=thread, turn=3)


def test_what_cannot_be_done_is_said(stage: Stage, client: Client) -> None:
    for tool in ("codex-read", "codex-interrupt", "codex-close", "codex-fork"):
        assert "no saved conversation" in refusal(client, tool, threadId=NOBODY)
        assert "is no id of a conversation" in refusal(client, tool, threadId="x")
        assert "missing required field `threadId`" in refusal(client, tool)
    assert "unknown cursor" in refusal(client, "codex-list", cursor="x")
    thread = thread_id(client.result(client.codex("hello")))
    other = stage.serve("fork").client
    assert "is open in process" in refusal(other, "codex-close", threadId=thread)


def test_who_wants_the_two_tools_alone_gets_them_alone(stage: Stage) -> None:
    stage.play(*RULES)
    client = stage.serve("fork", "-c", "greenroom.session_tools=false").client
    assert [tool["name"] for tool in client.ask("tools/list")["result"]["tools"]] == ["codex", "codex-reply"]
    assert refusal(client, "codex-list") == "Unknown tool 'codex-list'"


def test_a_running_turn_takes_in_what_it_is_steered_with(stage: Stage, engine: str) -> None:
    gate = Gate()
    stage.play(rule("long", [Text("hm"), gate.wait, Text("so")]), rule("rather", [Text("Rather this.")]))
    client = stage.serve(engine).client
    call = client.codex("long")
    client.event(call, "agent_message_delta")
    thread = client.event(call, "session_configured")["session_id"]
    steering = client.call("codex-steer", threadId=thread, prompt="rather")
    client.ask("ping")
    stage.model.open(gate)
    assert client.result(steering)["structuredContent"] == {"threadId": thread}
    assert not client.result(call).get("isError"), "whether it came in time to change the answer or not"
    assert said(stage.model.requests()[-1], "user")[-2:] == ["long", "rather"]
    assert "Use codex-reply" in refusal(client, "codex-steer", threadId=thread, prompt="rather")
    assert "is no id" in refusal(client, "codex-steer", threadId="x", prompt="rather")


def test_a_conversation_is_compacted_on_request(stage: Stage, engine: str) -> None:
    stage.play(RULES[0], rule("zebra", [Text("Zebras.")]), rule("", [Text("A summary.")]))
    client = stage.serve(engine).client
    thread = thread_id(client.result(client.codex("hello")))
    assert use(client, "codex-compact", threadId=thread) == {"threadId": thread}
    assert text(client.result(client.reply(thread, "zebra"))) == "Zebras."
    assert "A summary." in "".join(said(stage.model.requests()[-1], "user"))
    assert refusal(client, "codex-compact", threadId="x").endswith("`codex-list` tells them.")
