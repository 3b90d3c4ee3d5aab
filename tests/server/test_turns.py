"""A conversation from its first message on, as a client sees it."""

import os
import re

import pytest

from greenroom.demo.script import Call, CommandStep, Quote, ReasoningStep, Text, rule
from tests.support.client import Message, RequestId, deltas, kind, kinds, text, thread_id
from tests.support.home import records, stored_events
from tests.support.model import Gate, inputs, said
from tests.support.stage import Stage

RESPONSE = (
    r"(?:agent_reasoning_section_break )?(?:agent_reasoning_delta )*(?:agent_reasoning )*"
    r"(?:(?:agent_message_delta )*agent_message )*"
    r"(?:exec_command_begin (?:exec_command_output_delta )*exec_command_end |plan_update )*"
    r"token_count "
)
TURN = re.compile(rf"task_started user_message (?:{RESPONSE})+task_complete ")
"""The order inside a turn, with the `user_message` of later releases."""

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

PLAN = {"plan": [{"step": "look", "status": "in_progress"}]}
LOOK_AROUND = rule(
    "look around",
    [
        ReasoningStep("Where am I?", encrypted="gAAAA"),
        Text(("I will ", "look.")),
        Call("update_plan", PLAN),
        CommandStep(("sh", "-c", "echo here; echo there >&2")),
    ],
    [Quote("It said "), Text(("Here, ", "there."))],
)
AGAIN = rule("and now", [Text("Still here.")])


def assert_in_order(events: list[Message]) -> None:
    assert TURN.fullmatch("".join(f"{name} " for name in kinds(events))), kinds(events)


def test_a_turn_is_told_whole_and_in_order(stage: Stage, engine: str) -> None:
    stage.play(LOOK_AROUND)
    client = stage.serve(engine).client
    call = client.codex("look around", cwd=stage.cwd, **{"include-plan-tool": True})
    result = client.result(call)
    configured, *turn = client.events(call)
    assert configured["type"] == "session_configured"
    assert configured["session_id"] == configured["thread_id"] == thread_id(result)
    assert_in_order(turn)
    assert set(kinds(turn)) >= {"agent_reasoning", "plan_update", "exec_command_begin", "exec_command_end"}
    assert [event["message"] for event in turn if event["type"] == "agent_message"][-1] == "Here, there."
    assert "".join(deltas(turn)).endswith("Here, there.")
    assert result == {
        "content": [{"type": "text", "text": "Here, there."}],
        "structuredContent": {"threadId": configured["thread_id"], "content": "Here, there."},
    }
    assert client.messages[-1]["id"] == call, "the answer comes after everything else"


@pytest.mark.parametrize("request_id", [3, "3", "a call", 2**53])
def test_events_carry_the_ids_of_their_call(stage: Stage, request_id: RequestId) -> None:
    stage.play(LOOK_AROUND)
    client = stage.serve("fork").client
    client.call("codex", request_id, prompt="look around")
    thread = thread_id(client.result(request_id))
    notifications = client.notifications(request_id)
    metas = [message["params"]["_meta"] for message in notifications]
    assert metas == [{"requestId": request_id, "threadId": thread}] * len(notifications)
    assert all(type(meta["requestId"]) is type(request_id) for meta in metas)
    before, turn = ([m["params"]["id"] for m in part] for part in (notifications[:2], notifications[2:]))
    assert before == ["", ""], "of the start: who it is, and that no server has to be waited for"
    assert set(turn) == {str(request_id)}


def test_a_reply_goes_on_with_the_whole_history(stage: Stage, engine: str) -> None:
    stage.play(LOOK_AROUND, AGAIN)
    client = stage.serve(engine).client
    thread = thread_id(client.result(client.codex("look around", cwd=stage.cwd)))
    call = client.reply(thread, "and now?")
    result = client.result(call)
    assert (text(result), thread_id(result)) == ("Still here.", thread)
    assert_in_order(client.events(call))
    (event_id,) = {message["params"]["id"] for message in client.notifications(call)}
    assert UUID7.fullmatch(event_id)

    first, second, reply = stage.model.requests()
    assert inputs(second)[: len(inputs(first))] == inputs(first), "what was sent once is sent again as it was"
    assert inputs(reply)[: len(inputs(second))] == inputs(second)
    called = ["function_call", "function_call", "function_call_output", "function_call_output"]
    new = ["reasoning", "message", *called, "message", "message", "message"]
    assert [item["type"] for item in inputs(reply)[len(inputs(first)) :]] == new
    assert said(reply, "user")[-2:] == ["look around", "and now?"]
    assert said(reply, "assistant") == ["I will look.", "It said here\nthere", "Here, there."]
    assert {request.request.conversation for request in (first, second, reply)} == {thread}


def test_what_is_said_first_stays_the_same_so_that_it_can_be_cached(stage: Stage) -> None:
    stage.play(LOOK_AROUND, AGAIN)
    client = stage.serve("fork").client
    thread = thread_id(client.result(client.codex("look around", cwd=stage.cwd)))
    client.result(client.reply(thread, "and now?"))
    bodies = [request.json for request in stage.model.requests()]
    for member in ("instructions", "tools", "model", "prompt_cache_key"):
        assert len({repr(body[member]) for body in bodies}) == 1, member


def test_the_session_file_is_complete_when_the_call_is_answered(stage: Stage, engine: str) -> None:
    stage.play(LOOK_AROUND)
    client = stage.serve(engine).client
    call = client.codex("look around", cwd=stage.cwd)
    thread = thread_id(client.result(call))
    path = stage.home.session(thread)
    written = list(records(path))
    line, meta = written[0]
    assert line == "session_meta"
    assert (meta["id"], meta["cwd"]) == (thread, stage.cwd)
    stored = stored_events(path)
    assert stored[0] == "task_started"
    assert stored[-1] == "task_complete"
    assert "user_message" in stored
    items = [payload["type"] for line, payload in written if line == "response_item"]
    assert items.count("function_call") == items.count("function_call_output") == 2
    assert path.read_bytes().endswith(b"\n")
    assert os.stat(path).st_mode & 0o077 == 0, "a session is its user's alone"
    assert client.event(call, "session_configured")["rollout_path"] == str(path)


def test_a_later_run_of_the_server_goes_on(stage: Stage, engine: str) -> None:
    stage.play(LOOK_AROUND, AGAIN)
    former = stage.serve(engine)
    thread = thread_id(former.client.result(former.client.codex("look around", cwd=stage.cwd)))
    assert former.leave() == 0
    client = stage.serve(engine).client
    call = client.reply(thread.upper(), "and now?")
    result = client.result(call)
    assert (text(result), thread_id(result)) == ("Still here.", thread)
    _, second, reply = stage.model.requests()
    assert inputs(reply)[: len(inputs(second))] == inputs(second), "the model reads what it read before"
    assert said(reply, "user")[-2:] == ["look around", "and now?"]
    assert len(stage.home.sessions()) == 1, "the conversation goes on in its own file"
    assert stored_events(stage.home.session(thread)).count("task_complete") == 2


def test_a_later_run_works_where_the_former_did(stage: Stage) -> None:
    stage.play(rule("where", [CommandStep(("pwd",))], [Quote()]))
    former = stage.serve("fork")
    thread = thread_id(former.client.result(former.client.codex("where", cwd=stage.cwd)))
    former.leave()
    client = stage.serve("fork").client
    assert text(client.result(client.reply(thread, "where"))) == stage.cwd


def test_a_conversation_that_another_server_holds_is_refused_until_that_one_leaves(stage: Stage, engine: str) -> None:
    stage.play(AGAIN)
    holder = stage.serve(engine)
    thread = thread_id(holder.client.result(holder.client.codex("and now?")))
    other = stage.serve(engine).client
    refused = other.result(other.reply(thread, "and now?"))
    assert kind(refused) == "session_busy"
    assert "is being written by" in text(refused)
    assert text(holder.client.result(holder.client.reply(thread, "and now?"))) == "Still here."
    assert holder.leave() == 0
    assert text(other.result(other.reply(thread, "and now?"))) == "Still here."
    assert stored_events(stage.home.session(thread)).count("task_complete") == 3


def test_two_calls_at_once_do_not_mix(stage: Stage, engine: str) -> None:
    one, other = Gate(), Gate()
    model = stage.play(
        rule("one", [Text("first "), one.wait, Text("one")]), rule("other", [Text("first "), other.wait, Text("other")])
    )
    client = stage.serve(engine).client
    client.call("codex", 7, prompt="one")
    client.call("codex", "7", prompt="other")
    client.event(7, "agent_message")
    client.event("7", "agent_message")
    model.open(other)
    assert text(client.result("7")) == "other"
    model.open(one)
    assert text(client.result(7)) == "one"
    threads = {message["params"]["_meta"]["threadId"] for message in client.notifications(7)}
    assert threads == {thread_id(client.result(7))}
    assert thread_id(client.result(7)) != thread_id(client.result("7"))
    assert "".join(deltas(client.events(7))) == "first one"


def test_a_reply_to_a_busy_conversation_waits_and_gets_its_own_text(stage: Stage, engine: str) -> None:
    gate = Gate()
    model = stage.play(
        rule("begin", [Text("begun "), gate.wait, Text("first done")]),
        rule("second", [Text("second done")]),
        rule("third", [Text("third done")]),
    )
    client = stage.serve(engine).client
    first = client.codex("begin")
    thread = client.event(first, "session_configured")["thread_id"]
    client.event(first, "agent_message")
    second, third = client.reply(thread, "second"), client.reply(thread, "third")
    assert client.ask("ping")["result"] == {}
    assert client.events(second) == client.events(third) == [], "a turn that waits has nothing to tell"
    model.open(gate)
    assert text(client.result(third)) == "third done"
    assert [answer["id"] for answer in client.answers()][-3:] == [first, second, third]
    assert [text(client.result(call)) for call in (first, second)] == ["first done", "second done"]
    for call in (second, third):
        assert_in_order(client.events(call))


def test_a_turn_without_text_is_answered_with_none(stage: Stage) -> None:
    stage.play(rule("say nothing", [ReasoningStep("I will not.")]))
    client = stage.serve("fork").client
    result = client.result(client.codex("say nothing"))
    assert text(result) == result["structuredContent"]["content"] == ""


def test_events_can_be_turned_off(stage: Stage) -> None:
    stage.play(AGAIN, top="")
    client = stage.serve("fork", "-c", 'greenroom.events="off"').client
    assert text(client.result(client.codex("and now?"))) == "Still here."
    assert [message["method"] for message in client.messages if "method" in message] == []
