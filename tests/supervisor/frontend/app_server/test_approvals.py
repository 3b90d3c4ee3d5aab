"""The client is asked for consent, once for each question, and what it says happens."""

import json
from collections.abc import Mapping

import pytest

from greenroom.demo.script import CommandStep, PatchStep, Quote, Text, rule
from tests.supervisor.cli.status.test_real_server import greenroom
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.deadline import until
from tests.support.stage import Stage

COMMAND = "item/commandExecution/requestApproval"
PATCH = "item/fileChange/requestApproval"
TOUCH = rule("touch", [CommandStep(("touch", "made"))], [Text("So it is.")])
TWICE = rule("twice", [CommandStep(("touch", "made"))], [CommandStep(("touch", "made"))], [Text("So it is.")])
ADD = rule("add", [PatchStep("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch")], [Text("So it is.")])


def asking(stage: Stage, client: AppClient) -> str:
    return client.start(cwd=stage.cwd, approvalPolicy="untrusted", sandbox="workspace-write")


@pytest.mark.parametrize(
    ("decision", "status", "ends"),
    [
        ("accept", "completed", "completed"),
        ("acceptForSession", "completed", "completed"),
        ({"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["touch"]}}, "completed", "completed"),
        ("decline", "declined", "completed"),
        ("cancel", "declined", "interrupted"),
    ],
)
def test_a_command_happens_as_the_client_decides(
    stage: Stage, app: Serve, decision: object, status: str, ends: str
) -> None:
    stage.play(TOUCH)
    client = app().app
    turn = client.say(asking(stage, client), "touch")
    asked = client.asked(COMMAND)
    params = asked["params"]
    assert (params["command"], params["cwd"], params["turnId"]) == ("touch made", stage.cwd, turn)
    begun = client.told("item/started", turnId=turn, threadId=params["threadId"])
    client.told("thread/status/changed", status={"type": "active", "activeFlags": ["waitingOnApproval"]})
    client.respond(asked["id"], {"decision": decision})
    assert client.completed(turn)["status"] == ends
    assert client.told("serverRequest/resolved")["requestId"] == asked["id"]
    (item,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
    assert (item["id"], item["status"]) == (params["itemId"], status)
    assert (stage.workspace / "made").exists() == (status == "completed")
    started = [
        message["params"]["item"]["id"] for message in client.messages if message.get("method") == "item/started"
    ]
    assert started.count(params["itemId"]) == 1
    assert begun


def test_consent_for_a_session_is_asked_for_once(stage: Stage, app: Serve) -> None:
    stage.play(TWICE)
    client = app().app
    client.answers_with[COMMAND] = lambda _: {"decision": "acceptForSession"}
    client.completed(client.say(asking(stage, client), "twice"))
    assert len([message for message in client.messages if message.get("method") == COMMAND]) == 1


def test_a_rule_for_the_future_is_kept_where_later_conversations_find_it(stage: Stage, app: Serve) -> None:
    stage.play(TWICE)
    client = app().app

    def allow(params: Mapping[str, object]) -> Mapping[str, object]:
        proposed = params["proposedExecpolicyAmendment"]
        assert proposed == ["touch", "made"]
        return {"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": proposed}}}

    client.answers_with[COMMAND] = allow
    for _ in range(2):
        assert client.completed(client.say(asking(stage, client), "twice"))["status"] == "completed"
    assert len([message for message in client.messages if message.get("method") == COMMAND]) == 1
    kept = (stage.home.path / "rules" / "default.rules").read_text()
    assert kept == 'prefix_rule(pattern=["touch", "made"], decision="allow")\n'


@pytest.mark.parametrize("decision", ["accept", "decline"])
def test_a_patch_happens_as_the_client_decides(stage: Stage, app: Serve, decision: str) -> None:
    stage.play(ADD)
    client = app().app
    client.answers_with[PATCH] = lambda _: {"decision": decision}
    turn = client.say(asking(stage, client), "add")
    assert client.completed(turn)["status"] == "completed"
    (item,) = [item for item in client.items(turn) if item["type"] == "fileChange"]
    assert item["status"] == ("completed" if decision == "accept" else "declined")
    assert item["changes"][0]["path"] == str(stage.workspace / "a.txt")
    assert (stage.workspace / "a.txt").exists() == (decision == "accept")


@pytest.mark.parametrize(
    "answer", [{"result": {}}, {"result": {"decision": "perhaps"}}, {"error": {"code": -32000, "message": "no"}}]
)
def test_an_answer_that_is_none_is_a_no(stage: Stage, app: Serve, answer: Mapping[str, object]) -> None:
    stage.play(TOUCH)
    client = app().app
    turn = client.say(asking(stage, client), "touch")
    asked = client.asked(COMMAND)
    client.judge = None
    client.send({"id": asked["id"], **answer})
    assert client.completed(turn)["status"] == "completed"
    assert not (stage.workspace / "made").exists()


def test_a_question_is_void_when_its_turn_is_interrupted(stage: Stage, app: Serve) -> None:
    stage.play(TOUCH)
    client = app().app
    thread = asking(stage, client)
    turn = client.say(thread, "touch")
    asked = client.asked(COMMAND)
    client.request("turn/interrupt", {"threadId": thread, "turnId": turn})
    assert client.completed(turn)["status"] == "interrupted"
    assert client.told("serverRequest/resolved") == {"threadId": thread, "requestId": asked["id"]}
    client.respond(asked["id"], {"decision": "accept"})
    assert client.refused("turn/interrupt", {"threadId": thread, "turnId": turn})[1] == "no active turn to interrupt"
    assert not (stage.workspace / "made").exists()


def test_a_question_without_an_answer_is_answered_by_no_in_time(stage: Stage, app: Serve) -> None:
    stage.play(rule("touch", [CommandStep(("touch", "made"))], [Quote("")]), top="greenroom.approval_timeout_s = 0.3")
    client = app().app
    turn = client.say(asking(stage, client), "touch")
    client.asked(COMMAND)
    assert client.completed(turn)["status"] == "completed"
    assert client.told("serverRequest/resolved")
    assert not (stage.workspace / "made").exists()


@pytest.mark.parametrize(("option", "status"), [("--for-session", "completed"), ("--deny", "declined")])
def test_a_question_that_an_operator_decides_is_withdrawn(stage: Stage, app: Serve, option: str, status: str) -> None:
    stage.play(TOUCH, top="greenroom.approval_tools = true")
    client = app().app
    turn = client.say(asking(stage, client), "touch")
    asked = client.asked(COMMAND)
    listed = until(lambda: greenroom(stage, "approvals", "--json").stdout)
    approval = json.loads(listed)
    assert greenroom(stage, "approve", approval["approvalId"], option).returncode == 0
    assert client.told("serverRequest/resolved")["requestId"] == asked["id"]
    assert client.completed(turn)["status"] == "completed"
    (item,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
    assert item["status"] == status
    client.respond(asked["id"], {"decision": "accept"})
    assert (stage.workspace / "made").exists() == (status == "completed")
