"""A client that cannot ask its user decides approvals by tools, where the settings allow it."""

import json
from typing import Any

import jsonschema
import pytest

from greenroom.demo.script import Call, PatchStep, Quote, ScriptRule, Text, rule
from greenroom.protocol.mcp.approval_tools import APPROVAL_TOOLS
from tests.support.client import Client, Message, RequestId, kind, text
from tests.support.stage import Stage

SCHEMAS: dict[str, Any] = {str(tool["name"]): json.loads(json.dumps(tool["outputSchema"])) for tool in APPROVAL_TOOLS}
ON = "greenroom.approval_tools=true"
TOOLS = ["codex-approvals", "codex-approve"]
NOBODY = "01a20312-0577-77d3-9bb9-ad78bbf82560"
PATCH = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch"
SAFE = {"approval_policy": "untrusted", "sandbox": "read-only"}


def rules(stage: Stage) -> list[ScriptRule]:
    out = {"with_escalated_permissions": True, "justification": "it has to be there"}
    touch = ["bash", "-c", f"x=1; touch {stage.workspace}/it && echo touched"]
    return [
        rule("touch", [Call("shell", {"command": touch, **out})], [Quote("Said: ")]),
        rule("twice", [Call("shell", {"command": touch})], [Call("shell", {"command": touch})], [Quote("Said: ")]),
        rule("patch", [PatchStep(PATCH)], [Quote("Said: ")]),
        rule("call it", [Call("codex-approve", {"approvalId": "x", "decision": "approve"})], [Quote("Said: ")]),
        rule("hello", [Text("Good day.")]),
    ]


def serve(stage: Stage, *more: str, engine: str = "fork", capabilities: dict[str, Any] | None = None) -> Client:
    stage.play(*rules(stage))
    server = stage.start("--engine", engine, "-c", ON, *more)
    server.client.initialize(capabilities=capabilities or {})
    return server.client


def use(client: Client, tool: str, **arguments: Any) -> Message:
    result = client.result(client.call(tool, **arguments))
    assert not result.get("isError"), result
    jsonschema.validate(result["structuredContent"], SCHEMAS[tool])
    found: Message = result["structuredContent"]
    return found


def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = client.result(client.call(tool, **arguments))
    assert result["isError"] is True
    return text(result)


def waiting(client: Client, call: RequestId) -> Message:
    """Return the approval that a call waits for, once it does."""
    asked = ("background_event", "elicitation/create")
    client.until(lambda message: message.get("method") == asked[1] or _is_told(message, call, asked[0]))
    (approval,) = use(client, "codex-approvals")["approvals"]
    found: Message = approval
    return found


def _is_told(message: Message, call: RequestId, event: str) -> bool:
    params = message.get("params", {})
    return message.get("method") == "codex/event" and (params["_meta"]["requestId"], params["msg"]["type"]) == (
        call,
        event,
    )


def ask(client: Client, stage: Stage, prompt: str) -> tuple[RequestId, Message]:
    """Begin a turn that needs an approval, and return its call and the approval."""
    call = client.codex(prompt, cwd=stage.cwd, **SAFE)
    return call, waiting(client, call)


def test_what_is_approved_runs_and_was_told_in_full(stage: Stage, engine: str) -> None:
    client = serve(stage, engine=engine)
    call, approval = ask(client, stage, "touch")
    assert approval["threadId"] == client.event(call, "session_configured")["session_id"]
    assert (approval["kind"], approval["cwd"], approval["complete"]) == ("command", stage.cwd, True)
    assert approval["command"][-1] == f"x=1; touch {stage.workspace}/it && echo touched"
    assert (approval["reason"], approval["confined"]) == ("it has to be there", False)
    assert 590 < approval["secondsLeft"] <= 600
    assert approval["title"] == "touch"
    note = client.event(call, "background_event")["message"]
    assert "codex-approve" in note
    done = use(client, "codex-approve", approvalId=approval["approvalId"], decision="approve")
    assert done["threadId"] == approval["threadId"]
    assert "touched" in text(client.result(call))
    assert (stage.workspace / "it").exists()
    assert use(client, "codex-approvals") == {"approvals": []}


def test_a_patch_is_told_as_a_diff_and_denied_with_a_note_for_the_agent(stage: Stage) -> None:
    client = serve(stage)
    call, approval = ask(client, stage, "patch")
    assert "+hello" in approval["diff"]
    assert approval["paths"] == [f"{stage.cwd}/new.txt"]
    use(client, "codex-approve", approvalId=approval["approvalId"], decision="deny", note="Ask me about names first.")
    assert "Ask me about names first." in text(client.result(call))
    assert not (stage.workspace / "new.txt").exists()


def test_an_approval_for_the_session_is_asked_once(stage: Stage) -> None:
    client = serve(stage)
    call = client.codex("twice", cwd=stage.cwd, approval_policy="untrusted", sandbox="danger-full-access")
    approval = waiting(client, call)
    use(client, "codex-approve", approvalId=approval["approvalId"], decision="approve-for-session")
    assert "touched" in text(client.result(call))
    assert stage.model.statistics().requests == 3


def test_a_turn_is_stopped(stage: Stage) -> None:
    client = serve(stage)
    call, approval = ask(client, stage, "touch")
    use(client, "codex-approve", approvalId=approval["approvalId"], decision="stop")
    assert kind(client.result(call)) == "turn_aborted"


def test_it_is_decided_once(stage: Stage) -> None:
    client = serve(stage)
    call, approval = ask(client, stage, "touch")
    wanted = {"approvalId": approval["approvalId"]}
    calls = [client.call("codex-approve", decision=decision, **wanted) for decision in ("deny", "approve", "stop")]
    results = [client.result(one) for one in calls]
    assert [bool(result.get("isError")) for result in results] == [False, True, True]
    assert "was decided" in text(results[1])
    client.result(call)
    assert not (stage.workspace / "it").exists()


def test_nobody_decides_and_the_deadline_does(stage: Stage) -> None:
    client = serve(stage, "-c", "greenroom.approval_timeout_s=0.3")
    call = client.codex("touch", cwd=stage.cwd, **SAFE)
    assert "within 0.3 s" in text(client.result(call))
    assert use(client, "codex-approvals") == {"approvals": []}


def test_a_client_that_can_ask_is_asked_and_the_first_decision_counts(stage: Stage) -> None:
    client = serve(stage, capabilities={"elicitation": {}})
    call = client.codex("touch", cwd=stage.cwd, **SAFE)
    question = client.until(lambda message: message.get("method") == "elicitation/create")
    approval = waiting(client, call)
    use(client, "codex-approve", approvalId=approval["approvalId"], decision="approve")
    withdrawn = client.until(lambda message: message.get("method") == "notifications/cancelled")
    assert withdrawn["params"]["requestId"] == question["id"]
    client.send({"id": question["id"], "result": {"action": "decline"}})
    assert "touched" in text(client.result(call))
    second = client.codex("touch", cwd=stage.cwd, **SAFE)
    asked = client.until(lambda message: message.get("method") == "elicitation/create" and message != question)
    approval = waiting(client, second)
    client.send({"id": asked["id"], "result": {"action": "decline"}})
    client.result(second)
    assert "was decided" in refusal(client, "codex-approve", approvalId=approval["approvalId"], decision="approve")


def test_a_started_turn_waits_for_its_approval_and_those_that_wait_for_it_are_told(stage: Stage) -> None:
    client = serve(stage)
    begun = client.result(client.codex("touch", cwd=stage.cwd, wait=False, **SAFE))["structuredContent"]
    wanted = {"threadId": begun["threadId"], "callId": begun["callId"]}
    told = client.result(client.call("codex-wait", **wanted))["structuredContent"]
    assert (told["reason"], told["approvals"][0]["reason"]) == ("asked", "it has to be there")
    read = client.result(client.call("codex-read", threadId=begun["threadId"]))["structuredContent"]
    assert [one["approvalId"] for one in read["approvals"]] == [one["approvalId"] for one in told["approvals"]]
    seen = {**wanted, "cursor": read["cursor"], "seconds": 0}
    assert client.result(client.call("codex-wait", **seen))["structuredContent"]["reason"] == "time", "told already"
    use(client, "codex-approve", approvalId=told["approvals"][0]["approvalId"], decision="approve")
    ended = client.result(client.call("codex-wait", **wanted))["structuredContent"]
    assert "touched" in ended["turn"]["content"]


def test_an_interrupted_turn_takes_its_approvals_with_it(stage: Stage) -> None:
    client = serve(stage)
    call, approval = ask(client, stage, "touch")
    client.cancel(call)
    assert kind(client.result(call)) == "turn_aborted"
    said = refusal(client, "codex-approve", approvalId=approval["approvalId"], decision="approve")
    assert "its turn has ended" in said
    assert not (stage.workspace / "it").exists()


def test_what_cannot_be_decided_is_said(stage: Stage) -> None:
    client = serve(stage)
    assert "waits" in refusal(client, "codex-approve", approvalId=NOBODY, decision="approve")
    assert "waits" in refusal(client, "codex-approvals", approvalId=NOBODY)
    assert "Invalid enum value 'yes'" in refusal(client, "codex-approve", approvalId=NOBODY, decision="yes")
    assert "decision" in refusal(client, "codex-approve", approvalId=NOBODY)
    _, approval = ask(client, stage, "patch")
    said = refusal(client, "codex-approve", approvalId=approval["approvalId"], decision="approve-for-session")
    assert "only by approve or deny or stop" in said
    assert use(client, "codex-approvals", threadId=NOBODY)["approvals"] == []
    assert len(use(client, "codex-approvals", threadId=approval["threadId"])["approvals"]) == 1
    assert use(client, "codex-approvals", approvalId=approval["approvalId"])["approvals"][0]["diff"] == approval["diff"]


def test_the_tools_are_listed_where_they_are_allowed_alone(stage: Stage) -> None:
    client = serve(stage)
    assert [tool["name"] for tool in client.ask("tools/list")["result"]["tools"]][-2:] == TOOLS
    client = stage.serve("fork").client
    assert not {*TOOLS} & {tool["name"] for tool in client.ask("tools/list")["result"]["tools"]}
    assert refusal(client, "codex-approvals") == "Unknown tool 'codex-approvals'"
    call = client.codex("touch", cwd=stage.cwd, **SAFE)
    assert "approval is not available" in text(client.result(call))


@pytest.mark.parametrize("alone", ["-c", "greenroom.session_tools=false"])
def test_they_do_not_need_the_other_tools(stage: Stage, alone: str) -> None:
    more = () if alone == "-c" else ("-c", alone)
    client = serve(stage, *more)
    assert use(client, "codex-approvals") == {"approvals": []}


def test_the_model_of_a_conversation_has_no_such_tools(stage: Stage) -> None:
    """P5: it cannot approve its own commands; it is offered no tool for that, and a call of one is refused."""
    client = serve(stage)
    call = client.codex("call it", cwd=stage.cwd, **SAFE)
    said = text(client.result(call))
    first = stage.model.requests()[0]
    assert not any(name in json.dumps(first.json["tools"]) for name in TOOLS)
    assert "unsupported call: codex-approve" in said
