"""A turn that was started with `wait: false` is found, read, waited for and interrupted by later calls."""

import json
from typing import Any

import jsonschema
import pytest

from greenroom.demo.script import Call, Quote, Stall, Text, rule
from greenroom.protocol.mcp.session_tools import LONGEST_WAIT, SESSION_TOOLS
from greenroom.protocol.mcp.toolset import OUTPUT_SCHEMA
from tests.support.client import Client, Message, text
from tests.support.model import Gate, said
from tests.support.stage import Stage

SCHEMAS: dict[str, Any] = {str(tool["name"]): json.loads(json.dumps(tool["outputSchema"])) for tool in SESSION_TOOLS}
NOBODY = "01a20312-0577-77d3-9bb9-ad78bbf82560"


def use(client: Client, tool: str, **arguments: Any) -> Message:
    """Call a tool that must succeed and return its structured result, checked against its schema."""
    result = client.result(client.call(tool, **arguments), within=LONGEST_WAIT + 5)
    assert not result.get("isError"), result
    jsonschema.validate(result["structuredContent"], SCHEMAS.get(tool, OUTPUT_SCHEMA))
    found: Message = result["structuredContent"]
    return found


def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = client.result(client.call(tool, **arguments))
    assert result["isError"] is True
    return text(result)


def start(client: Client, prompt: str, **arguments: Any) -> tuple[str, str]:
    """Start a turn and return its conversation and its call."""
    tool = "codex-reply" if "threadId" in arguments else "codex"
    begun = use(client, tool, prompt=prompt, wait=False, **arguments)
    return begun["threadId"], begun["callId"]


def test_a_started_turn_is_answered_at_once_and_waited_for_later(stage: Stage, engine: str) -> None:
    gate = Gate()
    stage.play(rule("slow", [gate.wait, Text("Done at last.")]), rule("more", [Text("More.")]))
    client = stage.serve(engine).client
    thread, call = start(client, "slow")
    assert use(client, "codex-wait", threadId=thread, callId=call, seconds=0)["reason"] == "time"
    waiting = client.call("codex-wait", threadId=thread, callId=call)
    client.ask("ping")
    stage.model.open(gate)
    result = client.result(waiting)
    told = result["structuredContent"]
    assert (told["reason"], told["turn"]["state"], told["turn"]["content"]) == ("ended", "completed", "Done at last.")
    assert told["turn"]["callId"] == call
    assert text(result).endswith("Done at last.")
    _, second = start(client, "more", threadId=thread)
    assert use(client, "codex-wait", threadId=thread, callId=second)["turn"]["content"] == "More."
    assert use(client, "codex-wait", threadId=thread, callId=call)["turn"]["content"] == "Done at last."
    assert said(stage.model.requests()[-1], "user")[-2:] == ["slow", "more"]


def test_what_is_said_is_read_page_by_page_from_a_cursor(stage: Stage) -> None:
    gate, second = Gate(), Gate()
    step = Call("shell", {"command": ["echo", "stepped"]})
    stage.play(
        rule("work", [Text("First I step."), step], [gate.wait, Text("Stepped."), step], [second.wait, Text("Done.")])
    )
    client = stage.serve("fork").client
    thread, call = start(client, "work")
    cursor, heard = "0.0", ""
    while "echo stepped" not in heard:
        assert use(client, "codex-wait", threadId=thread, cursor=cursor)["reason"] == "said"
        result = client.result(client.call("codex-read", threadId=thread, cursor=cursor, last=1))
        cursor, heard = result["structuredContent"]["cursor"], heard + text(result)
    assert result["structuredContent"]["turn"] == {
        "callId": call,
        "state": "running",
        "doing": result["structuredContent"]["turn"]["doing"],
    }
    assert [word in heard for word in ("work", "First I step.", "echo stepped")] == [True] * 3
    assert "Nothing new." in text(client.result(client.call("codex-read", threadId=thread, cursor=cursor)))
    waiting = client.call("codex-wait", threadId=thread, cursor=cursor, seconds=LONGEST_WAIT)
    client.ask("ping")
    stage.model.open(gate)
    assert client.result(waiting, within=LONGEST_WAIT - 10)["structuredContent"]["reason"] == "said"
    stage.model.open(second)
    assert use(client, "codex-wait", threadId=thread, callId=call)["reason"] == "ended"
    rest = client.result(client.call("codex-read", threadId=thread, cursor=cursor))
    assert "Stepped." in text(rest)
    assert "First I step." not in text(rest)
    assert rest["structuredContent"]["turn"]["state"] == "completed"
    assert rest["structuredContent"]["usage"]["totalTokens"] > 0


def test_a_started_turn_is_interrupted_by_the_tool_for_that(stage: Stage) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    client = stage.serve("fork").client
    thread, call = start(client, "stall")
    waiting = client.call("codex-wait", threadId=thread, callId=call)
    assert use(client, "codex-interrupt", threadId=thread)["interrupted"] == 1
    turn = client.result(waiting)["structuredContent"]["turn"]
    assert (turn["state"], turn["error"]["kind"]) == ("aborted", "turn_aborted")
    assert use(client, "codex-read", threadId=thread)["turn"]["state"] == "aborted"


def test_a_turn_that_waits_behind_another_says_so(stage: Stage) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]), rule("more", [Text("More.")]))
    client = stage.serve("fork").client
    thread, first = start(client, "stall")
    _, second = start(client, "more", threadId=thread)
    assert use(client, "codex-wait", threadId=thread, callId=second, seconds=0)["turn"]["state"] == "waiting"
    assert use(client, "codex-wait", threadId=thread, seconds=0)["turn"]["callId"] == first


def test_a_worker_that_dies_ends_the_turn_for_those_that_wait(stage: Stage, engine: str) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    stage.kills_expected = True
    server = stage.serve(engine, "-c", "greenroom.idle_workers=0")
    client = server.client
    thread, call = start(client, "stall")
    stage.model.until(lambda told: told.requests > 0)
    waiting = client.call("codex-wait", threadId=thread, callId=call)
    client.ask("ping")
    server.settle(1)
    server.workers()[0].kill()
    turn = client.result(waiting)["structuredContent"]["turn"]
    assert (turn["state"], turn["error"]["kind"]) == ("failed", "worker_crashed")


def test_a_later_run_of_the_server_tells_how_the_last_turn_ended(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]), rule("stall", [Text("hm"), Stall()]))
    first = stage.serve("fork")
    done, call = start(first.client, "hello")
    use(first.client, "codex-wait", threadId=done, callId=call)
    left, _ = start(first.client, "stall")
    killed, _ = start(first.client, "stall")
    stage.model.until(lambda told: told.requests == 3)
    first.leave()
    second = stage.serve("fork")
    turn = use(second.client, "codex-read", threadId=done)["turn"]
    assert (turn["callId"], turn["state"], turn["content"]) == (call, "completed", "Good day.")
    assert use(second.client, "codex-wait", threadId=done, callId=call)["turn"]["content"] == "Good day."
    assert [use(second.client, "codex-read", threadId=one)["turn"]["state"] for one in (left, killed)] == [
        "aborted",
        "aborted",
    ]


def test_a_later_run_tells_of_a_turn_whose_server_was_killed(stage: Stage) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    stage.kills_expected = True
    first = stage.serve("fork")
    thread, call = start(first.client, "stall")
    stage.model.until(lambda told: told.requests == 1)
    while not use(first.client, "codex-read", threadId=thread)["turns"] and not list(
        stage.home.path.glob("sessions/*/*/*/*.jsonl")
    ):
        pass
    first.kill()
    turn = use(stage.serve("fork").client, "codex-read", threadId=thread)["turn"]
    assert (turn["callId"], turn["state"]) == (call, "interrupted")


def test_what_does_not_begin_is_told_like_what_ends(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    client = stage.serve("fork").client
    thread, call = start(client, "hello", model_provider="x", config={"model_provider": "nowhere"})
    turn = use(client, "codex-wait", threadId=thread, callId=call)["turn"]
    assert (turn["state"], turn["error"]["kind"]) == ("failed", "config")
    assert use(client, "codex-read", threadId=thread)["turn"] == turn
    thread, call = start(client, "hello", threadId=NOBODY)
    turn = use(client, "codex-wait", threadId=thread, callId=call)["turn"]
    assert (turn["state"], turn["error"]["message"]) == ("failed", f"Session not found for thread_id: {NOBODY}")


def test_what_cannot_be_waited_for_is_said(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    client = stage.serve("fork").client
    assert "no saved conversation" in refusal(client, "codex-wait", threadId=NOBODY)
    assert "is no id of a conversation" in refusal(client, "codex-wait", threadId="x")
    thread, _ = start(client, "hello")
    assert "has no turn" in refusal(client, "codex-wait", threadId=thread, callId=NOBODY)
    for cursor in ("x", "1", "-1.0", "1.2.3"):
        assert "unknown cursor" in refusal(client, "codex-wait", threadId=thread, cursor=cursor)
        assert "unknown cursor" in refusal(client, "codex-read", threadId=thread, cursor=cursor)


def test_started_turns_count_as_open_calls(stage: Stage) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    client = stage.serve("fork", "-c", "greenroom.open_calls=1").client
    start(client, "stall")
    assert "overloaded" in refusal(client, "codex", prompt="stall", wait=False)


def test_nothing_is_started_that_nobody_could_ask_after(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    client = stage.serve("fork", "-c", "greenroom.session_tools=false").client
    assert "`session_tools`" in refusal(client, "codex", prompt="hello", wait=False)
    assert "`session_tools`" in refusal(client, "codex-reply", prompt="hello", threadId=NOBODY, wait=False)


@pytest.mark.parametrize("seconds", ["-1", "0", "1e-9"])
def test_a_wait_is_never_longer_than_asked(stage: Stage, seconds: str) -> None:
    stage.play(rule("stall", [Text("hm"), Stall()]))
    client = stage.serve("fork").client
    thread, _ = start(client, "stall")
    assert use(client, "codex-wait", threadId=thread, seconds=float(seconds))["reason"] == "time"


def test_a_client_that_can_ask_is_asked_for_a_started_turn_too(stage: Stage) -> None:
    touch = Call("shell", {"command": ["bash", "-c", "x=1; echo touched"], "with_escalated_permissions": True})
    stage.play(rule("touch", [touch], [Quote("Said: ")]))
    client = stage.start("--engine", "fork").client
    client.initialize(capabilities={"elicitation": {}})
    for action, outcome in (("accept", "touched"), ("decline", "rejected by user")):
        thread, call = start(client, "touch", approval_policy="untrusted")
        told = use(client, "codex-wait", threadId=thread, callId=call)
        assert (told["reason"], told["approvals"][0]["kind"]) == ("asked", "command")
        question = [message for message in client.messages if message.get("method") == "elicitation/create"][-1]
        assert question["params"]["threadId"] == thread
        client.send({"id": question["id"], "result": {"action": action}})
        while (ended := use(client, "codex-wait", threadId=thread, callId=call))["reason"] != "ended":
            pass
        assert outcome in ended["turn"]["content"]
