"""A turn as a client of this protocol sees it: begun, told of, steered, interrupted, failed."""

import os
import signal

import pytest

from greenroom.demo.script import CommandStep, FailStep, PatchStep, Quote, ReasoningStep, Stall, Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient, said
from tests.support.home import records
from tests.support.model import said as said_to_model
from tests.support.server import MODULE
from tests.support.stage import Stage

LOOK = rule(
    "look",
    [ReasoningStep("Where am I?"), Text(("I will ", "look.")), CommandStep(("sh", "-c", "echo here"))],
    [Quote("It said ")],
)
PATCH = rule("patch", [PatchStep("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch")], [Text("Done.")])
STALL = rule("stall", [Text("hm"), Stall()])
AGAIN = rule("again", [Text("Still here.")])
COMMAND = "commandExecution"


def test_a_turn_is_told_from_its_beginning_to_its_end(stage: Stage, app: Serve) -> None:
    stage.play(LOOK)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "look", clientUserMessageId="mine")
    ended = client.completed(turn)
    assert (ended["status"], ended["items"][0]["text"]) == ("completed", "It said here")
    kinds = [item["type"] for item in client.items(turn)]
    assert kinds == ["userMessage", "reasoning", "agentMessage", "commandExecution", "agentMessage"]
    user, _, _, command, _ = client.items(turn)
    assert (user["content"][0]["text"], user["clientId"]) == ("look", "mine")
    assert (command["status"], command["exitCode"], command["aggregatedOutput"]) == ("completed", 0, "here\n")
    assert command["cwd"] == stage.cwd
    methods = client.methods()
    assert methods[0] == "thread/started"
    assert methods[-2:] == ["thread/status/changed", "turn/completed"]
    assert client.told("item/commandExecution/outputDelta")["delta"] == "here\n"
    assert client.told("thread/tokenUsage/updated")["tokenUsage"]["last"]["totalTokens"] == 110


def test_a_thread_is_a_conversation(stage: Stage, app: Serve) -> None:
    """The same id is that of the session file, and `codex-reply` of another program goes on with it."""
    stage.play(LOOK, AGAIN)
    server = app()
    thread = server.app.start(cwd=stage.cwd)
    server.app.completed(server.app.say(thread, "look"))
    assert server.leave() == 0
    path = stage.home.session(thread)
    assert next(records(path))[1]["id"] == thread
    client = stage.serve("fork").client
    result = client.result(client.reply(thread, "again"))
    assert result["structuredContent"] == {"threadId": thread, "content": "Still here."}
    assert said_to_model(stage.model.requests()[-1], "user")[-2:] == ["look", "again"]


def test_a_patch_is_told_with_its_files_and_the_diff_of_the_turn(stage: Stage, app: Serve) -> None:
    stage.play(PATCH)
    client = app().app
    turn = client.say(client.start(cwd=stage.cwd), "patch")
    client.completed(turn)
    (patch,) = [item for item in client.items(turn) if item["type"] == "fileChange"]
    change = {"path": str(stage.workspace / "a.txt"), "kind": {"type": "add"}, "diff": "hello\n"}
    assert (patch["changes"], patch["status"]) == ([change], "completed")
    assert "+hello" in client.told("turn/diff/updated")["diff"]


def test_a_turn_that_is_interrupted_ends_as_such_with_what_was_said(stage: Stage, app: Serve) -> None:
    stage.play(STALL, AGAIN)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "stall")
    client.told("item/agentMessage/delta")
    refusal = client.refused("turn/interrupt", {"threadId": thread, "turnId": "x"})
    assert refusal == (-32600, f"expected active turn id x but found {turn}")
    assert client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": turn})) == {}
    assert client.completed(turn)["status"] == "interrupted"
    assert client.items(turn)[-1]["text"] == "hm"
    refusal = client.refused("turn/interrupt", {"threadId": thread, "turnId": turn})
    assert refusal == (-32600, "no active turn to interrupt")
    assert client.completed(client.say(thread, "again"))["status"] == "completed"


def test_a_turn_that_waits_is_interrupted_before_it_begins(stage: Stage, app: Serve) -> None:
    stage.play(STALL, AGAIN)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    running, waiting = client.say(thread, "stall"), client.say(thread, "again")
    assert client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": waiting})) == {}
    ended = client.completed(waiting)
    assert (ended["status"], ended.get("startedAt")) == ("interrupted", None)
    client.request("turn/interrupt", {"threadId": thread, "turnId": running})
    assert client.completed(running)["status"] == "interrupted"


def test_input_for_the_running_turn_is_taken_by_it(stage: Stage, app: Serve) -> None:
    end = stage.workspace / "end"
    os.mkfifo(end)
    stage.play(rule("wait", [CommandStep(("cat", str(end)))], [Text("Both.")]))
    client = app().app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "wait")
    client.until(lambda told: told.get("method") == "item/started" and told["params"]["item"]["type"] == COMMAND)
    wrong = {"threadId": thread, "expectedTurnId": "x", "input": [{"type": "text", "text": "more"}]}
    assert client.refused("turn/steer", wrong) == (-32600, f"expected active turn id `x` but found `{turn}`")
    asked = client.request("turn/steer", {**wrong, "expectedTurnId": turn, "clientUserMessageId": "second"})
    client.result(client.request("thread/goal/get", {"threadId": thread}))  # its process has what came before that
    end.write_text("")  # only now the command ends
    assert client.result(asked) == {"turnId": turn}
    assert client.completed(turn)["status"] == "completed"
    messages = [item for item in client.items(turn) if item["type"] == "userMessage"]
    assert [message.get("clientId") for message in messages] == [None, "second"]
    assert client.refused("turn/steer", {**wrong, "expectedTurnId": turn}) == (-32600, "no active turn to steer")


def test_a_turn_that_the_model_refuses_fails_with_its_words(stage: Stage, app: Serve) -> None:
    stage.play(rule("fail", [FailStep(400, {"error": {"message": "nope"}})]), AGAIN)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "fail")
    ended = client.completed(turn)
    assert ended["status"] == "failed"
    assert "nope" in ended["error"]["message"]
    assert client.told("error")["willRetry"] is False
    assert client.told("thread/status/changed", 1)["status"] == {"type": "systemError"}
    assert client.completed(client.say(thread, "again"))["status"] == "completed"


def test_a_turn_whose_worker_is_killed_fails_and_the_next_one_goes_on(stage: Stage, app: Serve) -> None:
    stage.play(rule("hold", [CommandStep(("sleep", "60"))]), AGAIN)
    server = app()
    client = server.app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "hold")
    client.told("item/started", 1)
    for worker in server.workers():
        os.kill(worker.pid, signal.SIGKILL)
    stage.kills_expected = True
    ended = client.completed(turn)
    assert ended["status"] == "failed"
    assert "died" in ended["error"]["message"]
    told = client.told("error", turnId=turn)
    assert (told["error"]["message"], told["willRetry"]) == (ended["error"]["message"], False)
    command = client.items(turn)[-1]
    assert (command["type"], command["status"]) == ("commandExecution", "failed")
    assert client.completed(client.say(thread, "again"))["items"][0]["text"] == "Still here."


def test_settings_of_a_turn_hold_for_those_that_follow(stage: Stage, app: Serve) -> None:
    stage.play(rule("write", [CommandStep(("sh", "-c", "echo x > y"))], [Quote("")]))
    client = app().app
    thread = client.start(cwd=stage.cwd)
    turn = client.say(thread, "write", sandboxPolicy={"type": "readOnly"}, effort="low", model="other")
    client.completed(turn)
    again = client.say(thread, "write")
    client.completed(again)
    assert not (stage.workspace / "y").exists()
    assert [request.json["model"] for request in stage.model.requests()] == ["other"] * 4


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"approvalPolicy": {"granular": {}}}, "approval policy `granular` is not supported"),
        ({"sandboxPolicy": {"type": "externalSandbox"}}, "sandbox policy `externalSandbox` is not supported"),
        ({"sandboxPolicy": {"type": "readOnly", "networkAccess": True}}, "is not supported"),
        ({"toolOutput": {"name": "x", "output": "y"}}, "`toolOutput` of `turn/start` is not supported"),
        ({"input": [{"type": "localAudio", "path": "/a"}]}, "input of audio is not supported"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    stage: Stage, app: Serve, settings: dict[str, object], text: str
) -> None:
    stage.play(AGAIN)
    client = app().app
    client.judge = None  # the granular policy has more members
    code, message = client.refused("turn/start", said(client.start(cwd=stage.cwd), "again", **settings))
    assert (code, text in message) == (-32600, True), message


def test_a_client_has_to_introduce_itself_once(stage: Stage, app: Serve) -> None:
    stage.play(AGAIN)
    client = app().app
    params = {"clientInfo": {"name": "a", "version": "1"}}
    assert client.refused("initialize", params) == (-32600, "Already initialized")
    refusal = client.refused("windowsSandbox/readiness")
    assert refusal == (-32601, "`windowsSandbox/readiness` is not supported")
    assert client.refused("turn/start", said("nope", "x"))[1] == "invalid thread id: nope"


def test_nothing_is_answered_before_the_handshake(stage: Stage) -> None:
    from tests.support.app_server import PROGRAM, AppServer

    stage.play(AGAIN)
    server = AppServer(PROGRAM, stage.environment(), stage.log, stage.template)
    stage.servers.append(server)
    assert server.app.refused("thread/start", {}) == (-32600, "Not initialized")
    assert server.app.hello()["userAgent"].startswith("promises/0.171.0 (")


def test_notifications_that_a_client_does_not_want_are_not_sent(stage: Stage, app: Serve) -> None:
    from tests.support.app_server import PROGRAM, AppServer

    stage.play(AGAIN)
    server = AppServer(PROGRAM, stage.environment(), stage.log, stage.template)
    stage.servers.append(server)
    client = server.app
    client.hello(optOutNotificationMethods=["thread/started", "item/agentMessage/delta"])
    client.completed(client.say(client.start(cwd=stage.cwd), "again"))
    assert not {"thread/started", "item/agentMessage/delta"} & set(client.methods())


def test_settings_may_come_before_the_command(stage: Stage) -> None:
    """The official SDK puts them there."""
    from tests.support.app_server import AppServer

    stage.play(AGAIN)
    words = ("--config", "model=early", "app-server", "--listen", "stdio://", "-c", "model_reasoning_effort=low")
    server = AppServer((*MODULE, *words), stage.environment(), stage.log, stage.template)
    stage.servers.append(server)
    server.app.hello()
    result = server.app.result(server.app.request("thread/start", {"cwd": stage.cwd}))
    assert (result["model"], result["reasoningEffort"]) == ("early", "low")


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGKILL)])
def test_the_end_of_input_with_signals_at_once_leaves_nothing(
    stage: Stage, app: Serve, signals: tuple[signal.Signals, ...]
) -> None:
    """So does the SDK end a server, the second one two seconds later; what is left is seen by the stage."""
    stage.play(STALL)
    server = app()
    client: AppClient = server.app
    client.say(client.start(cwd=stage.cwd), "stall")
    client.told("item/agentMessage/delta")
    client.hang_up()
    for number in signals:
        server.signal(number)
    assert server.wait() == (0 if signals == (signal.SIGTERM,) else -signal.SIGKILL)
    assert not stage.left_over()
