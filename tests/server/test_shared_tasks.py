"""Tasks belong to the user on the host: they outlive their client, and any other client finds them by their ids."""

from typing import Any

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import Host, hosting
from tests.support.model import Gate
from tests.support.modern import Modern
from tests.support.stage import Stage

TASKS = "io.modelcontextprotocol/tasks"
CAPABLE: dict[str, object] = {"elicitation": {}, "extensions": {TASKS: {}}}
AT_ONCE = "\n[greenroom]\ntask_after_s = 0\n"
STALL = rule("stall", [Text("hm"), Stall()])
TOUCH = rule("touch", [CommandStep(("touch", "it"))], [Quote("Done: ")])


def modern(host: Host) -> Modern:
    return Modern(host.connect(), CAPABLE)


def begun(client: Modern, stage: Stage, prompt: str) -> str:
    call = client.call("codex", prompt=prompt, cwd=stage.cwd, approval_policy="untrusted")
    task_id: str = client.result(call)["taskId"]
    return task_id


def task(client: Modern, task_id: str, method: str = "tasks/get", **more: object) -> dict[str, Any]:
    return client.result(client.request(method, {"taskId": task_id, **more}))


def reached(client: Modern, task_id: str, status: str) -> dict[str, Any]:
    until(lambda: task(client, task_id)["status"] == status)
    return task(client, task_id)


def test_a_task_outlives_its_client_and_another_gets_its_result(stage: Stage) -> None:
    gate = Gate()
    stage.play(rule("think", [gate.wait, Text("Thought.")]), more=AT_ONCE)
    with hosting(stage) as host:
        first, other = host.connect(), modern(host)
        task_id = begun(Modern(first, CAPABLE), stage, "think")
        first.leave()
        until(lambda: other.result(other.request("server/discover")))
        assert task(other, task_id)["status"] == "working"
        stage.model.open(gate)
        ended = reached(other, task_id, "completed")
        assert text(ended["result"]) == "Thought."
        assert thread_id(ended["result"])


def test_another_client_answers_the_questions_of_a_task_whose_client_has_left(stage: Stage) -> None:
    stage.play(TOUCH, more=AT_ONCE)
    with hosting(stage) as host:
        first, other = host.connect(), modern(host)
        task_id = begun(Modern(first, CAPABLE), stage, "touch")
        first.leave()
        ((key, _),) = reached(other, task_id, "input_required")["inputRequests"].items()
        task(other, task_id, "tasks/update", inputResponses={key: {"action": "accept", "content": {}}})
        assert text(reached(other, task_id, "completed")["result"]) == "Done: "
        assert (stage.workspace / "it").exists()


def test_another_client_cancels_a_task_and_its_own_client_is_told(stage: Stage) -> None:
    stage.play(STALL, more=AT_ONCE)
    with hosting(stage) as host:
        first, other = modern(host), modern(host)
        task_id = begun(first, stage, "stall")
        first.request("subscriptions/listen", {"notifications": {"taskIds": [task_id]}})
        first.raw.until(lambda message: message.get("method") == "notifications/subscriptions/acknowledged")
        task(other, task_id, "tasks/cancel")
        told = first.raw.until(
            lambda message: message.get("method") == "notifications/tasks" and message["params"]["status"] != "working"
        )
        assert told["params"]["status"] == "cancelled"
        assert reached(other, task_id, "cancelled")


def test_a_task_without_a_client_ends_with_its_host_and_says_so(stage: Stage) -> None:
    stage.play(STALL, more=AT_ONCE)
    with hosting(stage) as host:
        first = host.connect()
        task_id = begun(Modern(first, CAPABLE), stage, "stall")
        first.leave()
    with hosting(stage) as host:
        assert kind(task(modern(host), task_id)["result"]) == "turn_aborted"


def test_tasks_whose_clients_have_left_count_among_the_calls_of_all(stage: Stage) -> None:
    stage.play(STALL, more=AT_ONCE)
    with hosting(stage, "-c", "greenroom.open_calls=1") as host:
        first, other = host.connect(), modern(host)
        task_id = begun(Modern(first, CAPABLE), stage, "stall")
        first.leave()
        refused = other.result(other.call("codex", prompt="stall", cwd=stage.cwd))
        assert "overloaded" in text(refused)
        task(other, task_id, "tasks/cancel")
        reached(other, task_id, "cancelled")
        assert "taskId" in other.result(other.call("codex", prompt="stall", cwd=stage.cwd))
