"""Where the client leaves decisions to a reviewer, the model decides, the client is told, and doubt is a refusal."""

import json
from typing import Any

import pytest

from greenroom.demo.script import CommandStep, FailStep, PatchStep, ScriptedAction, Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.model import inputs, members
from tests.support.stage import Stage

REVIEWED = "The action:"
TOUCH = rule("touch", [CommandStep(("touch", "made"))], [Text("So it is.")])
ADD = rule("add", [PatchStep("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch")], [Text("So it is.")])


def answer(verdict: str, **more: str) -> str:
    return json.dumps({"verdict": verdict, "risk": "low", "authorization": "high", "rationale": "Because.", **more})


def play(stage: Stage, *actions: ScriptedAction) -> None:
    stage.play(rule(REVIEWED, list(actions)), TOUCH, ADD)


def reviewed(stage: Stage, client: AppClient, prompt: str = "touch", **more: object) -> tuple[str, dict[str, Any]]:
    """Run a turn whose action is reviewed; return the turn and the review's end."""
    settings = {"approvalPolicy": "untrusted", "approvalsReviewer": "auto_review", "sandbox": "workspace-write", **more}
    turn = client.say(client.start(cwd=stage.cwd, **settings), prompt)
    assert client.completed(turn)["status"] == "completed"
    return turn, client.told("item/autoApprovalReview/completed")


def test_what_the_reviewer_allows_happens_and_nobody_is_asked(stage: Stage, app: Serve) -> None:
    play(stage, Text(answer("allow")))
    client = app().app
    turn, review = reviewed(stage, client)
    assert (stage.workspace / "made").exists()
    assert (review["review"]["status"], review["review"]["riskLevel"]) == ("approved", "low")
    assert (review["action"]["type"], review["action"]["command"]) == ("command", "touch made")
    begun = client.told("item/autoApprovalReview/started")
    assert (begun["reviewId"], begun["review"]["status"]) == (review["reviewId"], "inProgress")
    (item,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
    assert (item["id"], item["status"]) == (review["targetItemId"], "completed")
    assert [message for message in client.messages if "id" in message and "method" in message] == []


def test_the_reviewer_goes_by_a_policy_and_what_was_said_with_a_form_for_its_answer(stage: Stage, app: Serve) -> None:
    play(stage, Text(answer("allow")))
    reviewed(stage, app().app)
    (request,) = [one for one in stage.model.requests() if REVIEWED in json.dumps(inputs(one))]
    body = members(request)
    assert "in place of the user" in body["instructions"]
    assert body["tools"] == []
    assert body["text"]["format"]["schema"]["required"] == ["verdict", "risk", "authorization", "rationale"]
    (message,) = inputs(request)
    text = message["content"][0]["text"]
    assert '{"from":"user","text":"touch"}' in text
    assert '"shell_text":"touch made"' in text


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Text(answer("deny")), "Because."),
        (Text(answer("perhaps")), "the model's answer is no review"),
        (Text("Of course, go on."), "the model's answer is no review"),
        (Text('{"verdict": "allow"}'), "the model's answer is no review"),
        (FailStep(500, "no"), "no review was possible"),
    ],
)
def test_what_the_reviewer_does_not_plainly_allow_does_not_happen(
    stage: Stage, app: Serve, action: ScriptedAction, reason: str
) -> None:
    play(stage, action)
    client = app().app
    turn, review = reviewed(stage, client)
    assert not (stage.workspace / "made").exists()
    assert review["review"]["status"] == "denied"
    assert reason in review["review"]["rationale"]
    (item,) = [item for item in client.items(turn) if item["type"] == "commandExecution"]
    assert item["status"] == "declined"
    outputs = [item for item in inputs(stage.model.requests()[-1]) if item["type"].endswith("call_output")]
    assert reason in json.dumps(outputs), "the model is told why"


def test_a_patch_is_reviewed_too(stage: Stage, app: Serve) -> None:
    play(stage, Text("```json\n" + answer("allow") + "\n```"))
    _, review = reviewed(stage, app().app, "add", sandbox="read-only")
    assert (review["action"]["type"], review["action"]["files"]) == ("applyPatch", [str(stage.workspace / "a.txt")])
    assert (stage.workspace / "a.txt").read_text() == "hello\n"


def test_a_turn_may_leave_decisions_to_the_reviewer(stage: Stage, app: Serve) -> None:
    play(stage, Text(answer("deny")))
    client = app().app
    thread = client.start(cwd=stage.cwd, approvalPolicy="untrusted", sandbox="workspace-write")
    client.completed(client.say(thread, "touch", approvalsReviewer="auto_review"))
    assert client.told("item/autoApprovalReview/completed")["review"]["status"] == "denied"


def test_a_review_ends_with_its_turn(stage: Stage, app: Serve) -> None:
    from greenroom.demo.script import Stall

    play(stage, Stall())
    client = app().app
    settings = {"approvalPolicy": "untrusted", "approvalsReviewer": "auto_review"}
    thread = client.start(cwd=stage.cwd, sandbox="workspace-write", **settings)
    turn = client.say(thread, "touch")
    client.told("item/autoApprovalReview/started")
    client.request("turn/interrupt", {"threadId": thread, "turnId": turn})
    assert client.completed(turn)["status"] == "interrupted"
    assert client.told("item/autoApprovalReview/completed")["review"]["status"] == "aborted"


def test_the_last_message_has_the_form_that_the_client_wants(stage: Stage, app: Serve) -> None:
    stage.play(rule("form", [Text('{"a": 1}')]), rule("free", [Text("x")]))
    client = app().app
    thread = client.start(cwd=stage.cwd)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    client.completed(client.say(thread, "form", outputSchema=schema))
    client.completed(client.say(thread, "free"))
    formed, free = (members(request).get("text", {}) for request in stage.model.requests())
    assert formed["format"]["schema"] == schema
    assert "format" not in free
