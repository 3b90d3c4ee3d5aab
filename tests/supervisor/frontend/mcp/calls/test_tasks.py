"""A call that takes long goes on as a task, which can be asked about, answered and stopped, also by a later run."""

import json
from datetime import datetime
from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from greenroom.supervisor.frontend.mcp.calls.task_store import DIRECTORY
from tests.support.client import Message, RequestId, kind, text, thread_id
from tests.support.deadline import until
from tests.support.model import Gate
from tests.support.modern import Modern
from tests.support.stage import Stage

TASKS = "io.modelcontextprotocol/tasks"
CAPABLE: dict[str, object] = {"elicitation": {}, "extensions": {TASKS: {}}}
AT_ONCE = "\n[greenroom]\ntask_after_s = 0\n"
ACCEPT = {"action": "accept", "content": {}}
INVALID_PARAMS, MISSING_CAPABILITY = -32602, -32021
METHODS = ["tasks/get", "tasks/update", "tasks/cancel"]

RULES = (
    rule("touch", [CommandStep(("touch", "it"))], [Quote("Done: ")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("hello", [Text("Good day.")]),
)


def serve(stage: Stage, engine: str = "fork") -> Modern:
    return Modern(stage.start("--engine", engine).client, CAPABLE)


@pytest.fixture
def client(stage: Stage) -> Modern:
    """A client whose calls all go on as tasks."""
    stage.play(*RULES, more=AT_ONCE)
    return serve(stage)


def call(client: Modern, stage: Stage, prompt: str) -> RequestId:
    return client.call("codex", prompt=prompt, cwd=stage.cwd, approval_policy="untrusted")


def begun(client: Modern, stage: Stage, prompt: str) -> str:
    """Make a call that goes on as a task; return the task's id."""
    result = client.result(call(client, stage, prompt))
    assert result["resultType"] == "task", result
    task_id = result["taskId"]
    assert isinstance(task_id, str)
    return task_id


def ask(client: Modern, task_id: str, method: str = "tasks/get", **more: object) -> Message:
    result: Message = client.result(client.request(method, {"taskId": task_id, **more}))
    assert result["resultType"] == "complete"
    return result


def reached(client: Modern, task_id: str, *status: str) -> Message:
    """Ask until a task stands as wanted."""
    seen: list[Message] = []

    def arrived() -> bool:
        seen.append(ask(client, task_id))
        return seen[-1]["status"] in status

    until(arrived)
    return seen[-1]


def test_a_long_call_goes_on_as_a_task(stage: Stage, engine: str) -> None:
    gate = Gate()
    stage.play(rule("think", [gate.wait, Text("Thought.")]), more=AT_ONCE)
    client = serve(stage, engine)
    created = client.result(call(client, stage, "think"))
    assert (created["resultType"], created["status"], created["ttlMs"]) == ("task", "working", None)
    assert datetime.fromisoformat(created["createdAt"]).tzinfo is not None
    assert ask(client, created["taskId"])["status"] == "working"
    stage.model.open(gate)
    ended = reached(client, created["taskId"], "completed")
    assert text(ended["result"]) == "Thought."
    assert ended["ttlMs"] > 0
    assert "pollIntervalMs" not in ended
    more = client.call("codex-reply", threadId=thread_id(ended["result"]), prompt="think")
    assert client.result(more)["resultType"] == "task"


def test_a_short_call_is_answered_as_ever(stage: Stage) -> None:
    stage.play(*RULES)
    client = serve(stage)
    assert text(client.result(call(client, stage, "hello"))) == "Good day."
    assert not (stage.home.path / DIRECTORY).exists()


def test_a_client_that_knows_no_tasks_gets_none(stage: Stage) -> None:
    stage.play(*RULES, more=AT_ONCE)
    client = Modern(stage.start().client, {"elicitation": {}})
    assert text(client.result(call(client, stage, "hello"))) == "Good day."
    for method in METHODS:
        error = client.answer(client.request(method, {"taskId": "x"}))["error"]
        assert error["code"] == MISSING_CAPABILITY
        assert error["data"] == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


def test_a_task_asks_its_user(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "touch")
    waiting = reached(client, task_id, "input_required")
    ((key, request),) = waiting["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    ask(client, task_id, "tasks/update", inputResponses={"another": ACCEPT})
    assert ask(client, task_id)["inputRequests"] == waiting["inputRequests"]
    assert not (stage.workspace / "it").exists()
    ask(client, task_id, "tasks/update", inputResponses={key: ACCEPT})
    assert text(reached(client, task_id, "completed")["result"]) == "Done: "
    assert (stage.workspace / "it").exists()
    assert ask(client, task_id, "tasks/update", inputResponses={key: ACCEPT})


def test_a_cancelled_task_ends(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "stall")
    ask(client, task_id, "tasks/cancel")
    ended = reached(client, task_id, "cancelled", "completed")
    assert ended["status"] == "cancelled"
    assert "result" not in ended
    conversation = ended["statusMessage"].split()[-1].rstrip(".")
    reply = client.call("codex-reply", threadId=conversation, prompt="hello")
    assert text(reached(client, client.result(reply)["taskId"], "completed")["result"]) == "Good day."
    assert ask(client, task_id, "tasks/cancel"), "it does no harm afterwards"


def test_a_failed_turn_is_a_completed_task(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "stall")
    stage.model.until(lambda now: now.streaming == 1)
    for worker in stage.servers[0].workers():
        worker.kill()
    assert kind(reached(client, task_id, "completed")["result"]) == "worker_crashed"


UNKNOWN: list[Any] = ["", "../../config", "0199f3a0-0000-7000-8000-000000000001", "x" * 5000]


@pytest.mark.parametrize("task_id", UNKNOWN)
def test_unknown_tasks_are_refused(client: Modern, task_id: str) -> None:
    for method in METHODS:
        assert client.answer(client.request(method, {"taskId": task_id}))["error"]["code"] == INVALID_PARAMS
    assert client.answer(client.request("tasks/get", {"taskId": 1}))["error"]["code"] == INVALID_PARAMS


def test_a_task_outlives_the_server(client: Modern, stage: Stage) -> None:
    done, open_still = begun(client, stage, "hello"), begun(client, stage, "touch")
    ended = reached(client, done, "completed")
    reached(client, open_still, "input_required")
    assert stage.servers[0].leave() == 0
    later = serve(stage)
    assert ask(later, done)["result"] == ended["result"]
    assert kind(ask(later, open_still)["result"]) == "turn_aborted"


def test_a_task_whose_server_was_killed_is_interrupted(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "touch")
    reached(client, task_id, "input_required")
    stage.kills_expected = True
    stage.servers[0].kill()
    later = serve(stage)
    ended = ask(later, task_id)
    error = ended["result"]["structuredContent"]["error"]
    assert (ended["status"], error["kind"], error["reason"]) == ("completed", "turn_aborted", "interrupted")
    assert ask(later, task_id) == ended, "what is said once stays"
    assert not (stage.workspace / "it").exists()


def test_a_task_of_another_server_is_seen_but_not_changed(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "touch")
    reached(client, task_id, "input_required")
    other = serve(stage)
    reached(other, task_id, "input_required")
    for method in ("tasks/update", "tasks/cancel"):
        error = other.answer(other.request(method, {"taskId": task_id}))["error"]
        assert f"pid {stage.servers[0].pid}" in error["message"]
    assert ask(client, task_id)["status"] == "input_required"


def test_the_records_of_tasks_are_the_users_alone(client: Modern, stage: Stage) -> None:
    task_id = begun(client, stage, "hello")
    reached(client, task_id, "completed")
    directory = stage.home.path / DIRECTORY
    until(lambda: [path.name for path in directory.iterdir()] == [f"{task_id}.json"])
    until(lambda: json.loads((directory / f"{task_id}.json").read_text()).get("status") == "completed")
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / f"{task_id}.json").stat().st_mode & 0o077 == 0


def test_a_call_goes_on_where_no_task_can_be_kept(stage: Stage) -> None:
    stage.play(*RULES, more=AT_ONCE)
    (stage.home.path / DIRECTORY).write_text("in the way")
    client = serve(stage)
    assert text(client.result(call(client, stage, "hello"))) == "Good day."
