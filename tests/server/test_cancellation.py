"""A cancelled call ends at once, is answered once, and costs the conversation nothing but that turn."""

import time

import pytest

from greenroom.demo.script import Call, Stall, Text, rule
from tests.support import processes
from tests.support.client import Client, Message, RequestId, kind, kinds, text, thread_id
from tests.support.home import stored_events
from tests.support.model import Gate, inputs, said
from tests.support.stage import Stage

STOPS_WITHIN = 1.0
SLEEP = rule("sleep", [Call("shell", {"command": ["bash", "-c", "echo $$; sleep 600"], "timeout_ms": 600_000})])
STALL = rule("stall", [Text("hm"), Stall()])
HELLO = rule("hello", [Text("Good day.")])


def cancelled(client: Client, call: RequestId) -> Message:
    """Cancel a call and return its result, which must come in time."""
    started = time.monotonic()
    client.cancel(call)
    result = client.result(call)
    took = time.monotonic() - started
    assert took < STOPS_WITHIN, f"{took:.3f} s"
    return result


def test_a_cancelled_command_is_killed_and_the_conversation_goes_on(stage: Stage, engine: str) -> None:
    stage.play(SLEEP, HELLO)
    client = stage.serve(engine).client
    call = client.codex("sleep", cwd=stage.cwd)
    client.event(call, "exec_command_output_delta")
    result = cancelled(client, call)
    assert kind(result) == "turn_aborted"
    assert text(result) == result["structuredContent"]["content"] == "Turn aborted: interrupted"
    assert kinds(client.events(call))[-1] == "turn_aborted"
    assert "task_complete" not in kinds(client.events(call))
    sleeping = [process for process in processes.marked(stage.run) if processes.name_of(process) == "sleep"]
    assert not processes.remaining(sleeping, STOPS_WITHIN)

    reply = client.reply(thread_id(result), "hello")
    assert text(client.result(reply)) == "Good day."
    assert [answer["id"] for answer in client.answers()][-2:] == [call, reply]
    *_, last = stage.model.requests()
    assert "stopped the previous turn" in said(last, "user")[-2], "the model is told"
    outputs = [item for item in inputs(last) if item["type"] == "function_call_output"]
    assert [output["output"] for output in outputs] == ["aborted by user"]
    assert stored_events(stage.home.session(thread_id(result))).count("turn_aborted") == 1


def test_a_cancelled_answer_of_the_model_is_dropped(stage: Stage, engine: str) -> None:
    stage.play(STALL, HELLO)
    client = stage.serve(engine).client
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    result = cancelled(client, call)
    assert kind(result) == "turn_aborted"
    stage.model.until(lambda now: now.abandoned == 1, within=STOPS_WITHIN)
    assert text(client.result(client.reply(thread_id(result), "hello"))) == "Good day."


def test_a_cancelled_call_that_waits_is_answered_and_the_running_one_is_not_disturbed(
    stage: Stage, engine: str
) -> None:
    gate = Gate()
    model = stage.play(rule("begin", [Text("begun"), gate.wait, Text("done")]), HELLO)
    client = stage.serve(engine).client
    running = client.codex("begin")
    thread = client.event(running, "session_configured")["thread_id"]
    client.event(running, "agent_message")
    waiting, later = client.reply(thread, "never said"), client.reply(thread, "hello")
    assert kind(cancelled(client, waiting)) == "turn_aborted"
    model.open(gate)
    assert text(client.result(running)) == "done"
    assert text(client.result(later)) == "Good day."
    assert not any("never said" in said(request, "user") for request in model.requests())


def test_an_id_of_another_type_cancels_nothing(stage: Stage, engine: str) -> None:
    gate = Gate()
    model = stage.play(rule("begin", [Text("begun"), gate.wait, Text("done")]))
    client = stage.serve(engine).client
    client.call("codex", 42, prompt="begin")
    client.event(42, "agent_message")
    client.cancel("42")
    client.cancel(43)
    client.ask("ping")
    model.open(gate)
    assert text(client.result(42)) == "done"


def test_a_call_that_is_over_cannot_be_cancelled(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    call = client.codex("hello")
    thread = thread_id(client.result(call))
    client.cancel(call)
    assert text(client.result(client.reply(thread, "hello"))) == "Good day."
    assert [answer["id"] for answer in client.answers()].count(call) == 1


def test_a_call_that_is_cancelled_twice_is_answered_once(stage: Stage) -> None:
    stage.play(STALL)
    client = stage.serve("fork").client
    call = client.codex("stall")
    client.event(call, "agent_message_delta")
    for _ in range(3):
        client.cancel(call)
    client.result(call)
    client.ask("ping")
    assert [answer["id"] for answer in client.answers()].count(call) == 1


def test_a_call_that_is_cancelled_at_once_is_answered_once(stage: Stage, engine: str) -> None:
    stage.play(STALL, HELLO)
    client = stage.serve(engine).client
    calls = [client.codex("stall") for _ in range(5)]
    for call in calls:
        client.cancel(call)
    results = [client.result(call) for call in calls]
    assert {text(result) for result in results} == {"Turn aborted: interrupted"}
    assert text(client.result(client.codex("hello"))) == "Good day."


def test_one_cancelled_call_of_two_leaves_the_other_alone(stage: Stage, engine: str) -> None:
    gate = Gate()
    model = stage.play(SLEEP, rule("begin", [Text("begun"), gate.wait, Text("done")]))
    client = stage.serve(engine).client
    sleeping, running = client.codex("sleep"), client.codex("begin")
    client.event(sleeping, "exec_command_output_delta")
    client.event(running, "agent_message")
    assert kind(cancelled(client, sleeping)) == "turn_aborted"
    model.open(gate)
    assert text(client.result(running)) == "done"


@pytest.mark.parametrize("trap", ["", "trap '' TERM INT HUP; "])
def test_a_command_that_ignores_signals_ends_all_the_same(stage: Stage, trap: str) -> None:
    deaf = rule("deaf", [Call("shell", {"command": ["bash", "-c", f"{trap}echo on; sleep 600; sleep 600"]})])
    stage.play(deaf)
    client = stage.serve("fork").client
    call = client.codex("deaf")
    client.event(call, "exec_command_output_delta")
    assert kind(cancelled(client, call)) == "turn_aborted"
    sleeping = [process for process in processes.marked(stage.run) if processes.name_of(process) == "sleep"]
    assert not processes.remaining(sleeping, STOPS_WITHIN)
