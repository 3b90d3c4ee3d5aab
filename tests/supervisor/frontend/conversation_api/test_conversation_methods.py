"""Clients of the conversation API begin conversations, talk to them, listen, decide and interrupt."""

import base64
import uuid
from pathlib import Path

from greenroom.demo.script import Call, CommandStep, FailStep, PatchStep, Text, rule
from tests.supervisor.frontend.conversation_api.api_client import (
    asked,
    begin,
    event,
    heard,
    listen,
    message,
    refused,
    say,
)
from tests.support.client import kinds
from tests.support.deadline import until
from tests.support.home import stored_events
from tests.support.model import Gate, inputs, said
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
TOUCH = rule("touch", [CommandStep(("touch", "made"))], [Text("Done.")])
SLEEP = rule("sleep", [Call("shell", {"command": ["bash", "-c", "echo on; sleep 600"], "timeout_ms": 600_000})])
ASKING = {"approvalPolicy": "untrusted", "sandbox": "workspace-write"}
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PATCH = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch"


def until_saved(stage: Stage, conversation: str, turns: int) -> None:
    """Wait until so many turns of a conversation are over, from its file alone."""
    path = stage.home.session(conversation)
    until(lambda: stored_events(path).count("task_complete") == turns, 20)


def test_a_conversation_from_its_beginning_to_its_second_turn(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    client = stage.serve(engine).client
    begun = client.result(client.request("newConversation", {"cwd": stage.cwd, "model": "other"}))
    conversation = begun["conversationId"]
    assert begun["model"] == "other"
    assert Path(begun["rolloutPath"]).exists()
    listen(client, conversation)
    for turn in range(2):
        say(client, conversation, "hello")
        assert event(client, conversation, "task_complete", turn)["last_agent_message"] == "Good day."
    ids = [told["id"] for told in heard(client, conversation)]
    told = kinds([told["msg"] for told in heard(client, conversation)])
    assert set(ids) == {"", "0", "1"}
    assert told[: ids.index("0") + 1] == ["mcp_startup_complete", "task_started"]
    assert "session_configured" not in told
    assert [request.json["model"] for request in stage.model.requests()] == ["other", "other"]


def test_two_conversations_are_heard_apart_and_each_event_once(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    one, other = begin(client), begin(client)
    listen(client, one)
    second = listen(client, one)
    listen(client, other)
    say(client, one, "hello")
    say(client, other, "hello")
    for conversation in (one, other):
        event(client, conversation, "task_complete")
    assert client.ask("ping")
    for conversation in (one, other):
        assert kinds([told["msg"] for told in heard(client, conversation)]).count("task_complete") == 1
    assert client.result(client.request("removeConversationListener", {"subscriptionId": second})) == {}
    say(client, one, "hello")
    event(client, one, "task_complete", 1)


def test_what_happens_while_nobody_listens_is_told_to_the_next_listener(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    conversation = begin(client)
    say(client, conversation, "hello")
    until_saved(stage, conversation, turns=1)
    assert client.ask("ping")
    assert not heard(client, conversation)
    first = listen(client, conversation)
    event(client, conversation, "task_complete")
    client.result(client.request("removeConversationListener", {"subscriptionId": first}))
    said_before = len(heard(client, conversation))
    say(client, conversation, "hello")
    until_saved(stage, conversation, turns=2)
    assert client.ask("ping")
    assert len(heard(client, conversation)) == said_before
    listen(client, conversation)
    event(client, conversation, "task_complete", 1)


def test_a_tool_call_and_a_listener_both_hear_everything(stage: Stage) -> None:
    gate = Gate()
    stage.play(rule("hello", [Text("Good"), gate.wait, Text(" day.")]))
    client = stage.serve("fork").client
    call = client.codex("hello")
    conversation = client.event(call, "session_configured")["session_id"]
    client.event(call, "task_started")
    listen(client, conversation)
    stage.model.open(gate)
    assert " day." in str(client.result(call))
    assert event(client, conversation, "task_complete")
    assert "task_complete" in kinds(client.events(call))


def test_a_message_into_a_running_turn_is_part_of_it(stage: Stage, engine: str) -> None:
    stage.play(rule("more", [Text("Both.")]), TOUCH)
    client = stage.serve(engine).client
    conversation = begin(client, cwd=stage.cwd, **ASKING)
    listen(client, conversation)
    say(client, conversation, "touch")
    request = asked(client, "execCommandApproval")
    say(client, conversation, "more")
    client.send({"id": request["id"], "result": {"decision": "approved"}})
    assert event(client, conversation, "task_complete")["last_agent_message"] == "Both."
    first, second = stage.model.requests()
    assert "more" not in said(first, "user")
    assert said(second, "user")[-2:] == ["touch", "more"]
    assert client.ask("ping")
    assert kinds([told["msg"] for told in heard(client, conversation)]).count("task_started") == 1


def test_a_command_is_run_once_the_client_has_approved_it(stage: Stage, engine: str) -> None:
    stage.play(TOUCH)
    client = stage.serve(engine).client
    conversation = begin(client, cwd=stage.cwd, **ASKING)
    listen(client, conversation)
    say(client, conversation, "touch")
    request = asked(client, "execCommandApproval")
    params = request["params"]
    assert params["conversation_id"] == params["conversationId"] == conversation
    assert params["command"] == ["touch", "made"]
    assert params["cwd"] == stage.cwd
    assert event(client, conversation, "exec_approval_request")["call_id"] == params["call_id"]
    assert not (stage.workspace / "made").exists()
    client.send({"id": request["id"], "result": {"decision": "approved"}})
    event(client, conversation, "task_complete")
    assert (stage.workspace / "made").exists()


def test_a_turn_with_settings_of_its_own_asks_nobody_and_changes_nothing_for_the_next(stage: Stage) -> None:
    stage.play(TOUCH)
    client = stage.serve("fork").client
    conversation = begin(client, cwd=stage.cwd, **ASKING)
    listen(client, conversation)
    elsewhere = stage.workspace / "elsewhere"
    elsewhere.mkdir()
    settings = {
        "cwd": str(elsewhere),
        "approvalPolicy": "never",
        "sandboxPolicy": {"mode": "danger-full-access"},
        "model": "gpt-5",
        "effort": "deep",  # one that only the server knows
        "summary": "concise",
    }
    assert client.result(client.request("sendUserTurn", message(conversation, "touch", **settings))) == {}
    event(client, conversation, "task_complete")
    assert (elsewhere / "made").exists()
    request = stage.model.requests()[0].json
    assert request["model"] == "gpt-5"
    assert request["reasoning"] == {"effort": "deep", "summary": "concise"}
    say(client, conversation, "touch")
    client.send({"id": asked(client, "execCommandApproval")["id"], "result": {"decision": "denied"}})
    event(client, conversation, "task_complete", 1)
    assert stage.model.requests()[-1].json["model"] == "scripted"
    assert not (stage.workspace / "made").exists()


def test_a_patch_waits_for_a_listener_and_an_error_as_answer_denies_it(stage: Stage) -> None:
    stage.play(rule("patch", [PatchStep(PATCH)], [Text("Well.")]))
    client = stage.serve("fork").client
    conversation = begin(client, cwd=stage.cwd, **ASKING)
    say(client, conversation, "patch")
    stage.model.until(lambda now: now.requests == 1 and now.streaming == 0)
    assert client.ask("ping")
    assert not [told for told in client.messages if told.get("method") == "applyPatchApproval"]
    listen(client, conversation)
    request = asked(client, "applyPatchApproval")
    path = str(stage.workspace / "new.txt")
    assert request["params"]["file_changes"][path]["add"] == {"content": "hello\n"}
    assert request["params"]["fileChanges"][path] == {"type": "add", "content": "hello\n"}
    client.send({"id": request["id"], "error": {"code": -32601, "message": "no"}})
    assert event(client, conversation, "task_complete")["last_agent_message"] == "Well."
    assert not Path(path).exists()


def test_an_interrupt_is_answered_after_the_turn_was_aborted(stage: Stage, engine: str) -> None:
    stage.play(SLEEP)
    client = stage.serve(engine).client
    conversation = begin(client, cwd=stage.cwd)
    listen(client, conversation)
    say(client, conversation, "sleep")
    event(client, conversation, "exec_command_output_delta")
    interrupts = [client.request("interruptConversation", {"conversationId": conversation}) for _ in range(2)]
    for interrupt in interrupts:
        assert client.result(interrupt) == {"abortReason": "interrupted"}
    order = [told.get("id") or told["method"] for told in client.messages]
    assert order.index("codex/event/turn_aborted") < order.index(interrupts[0]) < order.index(interrupts[1])
    assert len(stage.model.requests()) == 1


def test_an_interrupt_of_an_idle_conversation_and_a_message_without_items_are_answered_at_once(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    conversation = begin(client)
    listen(client, conversation)
    assert client.result(client.request("interruptConversation", {"conversationId": conversation}))
    assert client.result(client.request("sendUserMessage", {"conversationId": conversation, "items": []})) == {}
    say(client, conversation, "hello")
    event(client, conversation, "task_complete")
    assert len(stage.model.requests()) == 1


def test_a_killed_worker_is_told_as_the_end_of_its_turn_and_the_next_message_goes_on(stage: Stage) -> None:
    stage.kills_expected = True
    stage.play(SLEEP, HELLO)
    server = stage.serve("fork", "-c", "greenroom.idle_workers=0")
    client = server.client
    conversation = begin(client, cwd=stage.cwd)
    listen(client, conversation)
    say(client, conversation, "sleep")
    event(client, conversation, "exec_command_output_delta")
    (worker,) = server.workers()
    worker.kill()
    assert "died" in event(client, conversation, "error")["message"]
    assert event(client, conversation, "task_complete")["last_agent_message"] is None
    say(client, conversation, "hello")
    assert event(client, conversation, "task_complete", 1)["last_agent_message"] == "Good day."


def test_images_reach_the_model(stage: Stage) -> None:
    stage.play(rule("", [Text("Nice.")]))
    client = stage.serve("fork").client
    conversation = begin(client)
    listen(client, conversation)
    picture = stage.workspace / "a.png"
    picture.write_bytes(base64.b64decode(DOT))
    items = [
        {"type": "localImage", "data": {"path": str(picture)}},
        {"type": "image", "data": {"image_url": f"data:image/png;base64,{DOT}"}},
    ]
    client.result(client.request("sendUserMessage", {"conversationId": conversation, "items": items}))
    event(client, conversation, "task_complete")
    parts = inputs(stage.model.requests()[0])[-1]["content"]
    assert [part["image_url"] for part in parts] == [f"data:image/png;base64,{DOT}"] * 2


def test_an_error_of_the_model_is_told_once(stage: Stage) -> None:
    stage.play(rule("", [FailStep(400, {"error": {"message": "no"}})]))
    client = stage.serve("fork").client
    conversation = begin(client)
    listen(client, conversation)
    say(client, conversation, "hello")
    event(client, conversation, "task_complete")
    assert client.ask("ping")
    told = kinds([told["msg"] for told in heard(client, conversation)])
    assert told.count("error") == told.count("task_complete") == 1


def test_what_is_not_there_or_does_not_fit_is_refused(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    nobody = str(uuid.uuid4())
    for method in ("sendUserMessage", "interruptConversation", "addConversationListener"):
        assert refused(client, method, message(nobody, "hello")) == (-32600, f"conversation not found: {nobody}")
    text = f"subscription not found: {nobody}"
    assert refused(client, "removeConversationListener", {"subscriptionId": nobody}) == (-32600, text)
    code, text = refused(client, "newConversation", {"profile": "none such"})
    assert (code, text[:23]) == (-32600, "error deriving config: ")
    malformed: tuple[tuple[str, dict[str, object] | None], ...] = (
        ("newConversation", None),
        ("newConversation", {"approvalPolicy": "whenever"}),
        ("sendUserMessage", {"conversationId": "7", "items": []}),
        ("sendUserMessage", {"conversationId": nobody, "items": [{"type": "smell"}]}),
        ("sendUserTurn", message(nobody, "hello")),
    )
    for method, params in malformed:
        code, text = refused(client, method, params)
        assert code == -32602, text
        assert method in text
