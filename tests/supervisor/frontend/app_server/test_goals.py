"""Goals of threads: set, gone on with until they are reached or may not, kept with the thread, and cleared."""

from typing import Any

from greenroom.demo.script import Call, FailStep, ScriptedUsage, Stall, Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient, serve
from tests.support.host import hosting
from tests.support.model import members, said
from tests.support.stage import Stage

GOAL = "codex_internal_context"
RULES = (
    rule("<objective>\nreach it", [Text("On the way.")], [Text("unused")]),
    rule("<objective>\nend it", [Call("get_goal", {})], [Call("update_goal", {"status": "complete"})], [Text("Done.")]),
    rule("<objective>\nspend it", [Text("Some."), ScriptedUsage(100, 60, 10, 0)]),
    rule("<objective>\nbreak it", [FailStep(400, {"error": {"message": "nope"}})]),
    rule("<objective>\nhang", [Text("hm"), Stall()]),
    rule("hello", [Text("Hello.")]),
)


def goal(client: AppClient, thread: str, what: str, **params: object) -> Any:
    result = client.result(client.request(f"thread/goal/{what}", {"threadId": thread, **params}))
    return result["cleared"] if what == "clear" else result["goal"]


def ended(client: AppClient, nth: int = 0) -> dict[str, Any]:
    """Return the n-th turn that has ended, waiting for it."""
    turn: dict[str, Any] = client.told("turn/completed", nth)["turn"]
    return turn


def test_a_goal_is_gone_on_with_until_it_is_reached(stage: Stage, app: Serve) -> None:
    model = stage.play(*RULES)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    assert goal(client, thread, "get") is None
    told = goal(client, thread, "set", objective="end it", tokenBudget=5000)
    assert (told["objective"], told["status"], told["tokenBudget"]) == ("end it", "active", 5000)
    assert ended(client)["status"] == "completed"
    statuses = [
        (message["params"]["turnId"] is None, message["params"]["goal"]["status"])
        for message in client.messages
        if message.get("method") == "thread/goal/updated"
    ]
    assert (statuses[0], statuses[-1]) == ((True, "active"), (False, "complete"))
    reached = goal(client, thread, "get")
    assert (reached["status"], reached["tokensUsed"]) == ("complete", 220)
    requests = model.requests()
    assert len(requests) == 3
    assert [tool["name"] for tool in members(requests[0])["tools"] if "goal" in tool.get("name", "")] == [
        *("get_goal", "update_goal")
    ]
    assert client.completed(client.say(thread, "hello"))["status"] == "completed"
    assert len(model.requests()) == 4
    assert goal(client, thread, "clear") is True
    assert goal(client, thread, "clear") is False
    assert client.told("thread/goal/cleared") == {"threadId": thread}


def test_a_budget_ends_it_a_failure_blocks_it_and_an_interrupt_lets_it_rest(stage: Stage, app: Serve) -> None:
    model = stage.play(*RULES)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    goal(client, thread, "set", objective="spend it", tokenBudget=100)
    client.told("thread/goal/updated", 2)
    assert ended(client, 1)["status"] == "completed"
    found = goal(client, thread, "get")
    assert (found["status"], found["tokensUsed"]) == ("budgetLimited", 100)
    assert len(model.requests()) == 2
    goal(client, thread, "set", objective="break it", status="active", tokenBudget=None)
    assert ended(client, 2)["status"] == "failed"
    assert goal(client, thread, "get")["status"] == "blocked"
    goal(client, thread, "set", objective="hang", status="active")
    client.told("item/agentMessage/delta", 2)
    running = client.told("turn/started", 3)["turn"]["id"]
    client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": running}))
    assert client.completed(running)["status"] == "interrupted"
    assert goal(client, thread, "get")["status"] == "active"
    assert client.methods().count("turn/started") == 4


def test_a_goal_outlives_the_server_and_a_copy_of_it_waits(stage: Stage, app: Serve) -> None:
    model = stage.play(*RULES)
    server = app()
    client = server.app
    thread = client.start(cwd=stage.cwd)
    client.completed(client.say(thread, "hello"))
    goal(client, thread, "set", objective="hang")
    client.told("item/agentMessage/delta", 1)
    running = client.told("turn/started", 1)["turn"]["id"]
    client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": running}))
    client.completed(running)
    fork = client.result(client.request("thread/fork", {"threadId": thread}))["thread"]["id"]
    assert goal(client, fork, "get")["status"] == "paused"
    client.hang_up()
    assert server.wait() == 0
    client = app().app
    before = len(model.requests())
    client.result(client.request("thread/resume", {"threadId": thread}))
    assert client.told("thread/goal/updated")["goal"]["objective"] == "hang"
    client.told("item/agentMessage/delta")
    assert len(model.requests()) == before + 1
    turn = client.told("turn/started")["turn"]["id"]
    client.result(client.request("turn/interrupt", {"threadId": thread, "turnId": turn}))
    client.completed(turn)
    read = client.result(client.request("thread/read", {"threadId": thread, "includeTurns": True}))["thread"]
    assert [item["type"] for one in read["turns"] for item in one["items"] if item["type"] == "userMessage"] == [
        "userMessage"
    ]


def test_the_user_is_answered_first_and_the_model_knows_of_the_goal(stage: Stage, app: Serve) -> None:
    model = stage.play(*RULES)
    client = app().app
    thread = client.start(cwd=stage.cwd)
    goal(client, thread, "set", objective="end it", status="paused")
    assert client.completed(client.say(thread, "hello"))["status"] == "completed"
    assert not any(GOAL in text for text in said(model.requests()[-1], "user"))
    goal(client, thread, "set", status="active")
    ended(client, 1)
    assert any("end it" in text for text in said(model.requests()[-1], "user"))
    assert goal(client, thread, "get")["status"] == "complete"


def test_ephemeral_and_unknown_threads_have_none(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = client.start(cwd=stage.cwd, ephemeral=True)
    unknown = "01a22803-8928-7170-ae89-210cdd94f317"
    for what, params in (("set", {"objective": "x"}), ("get", {}), ("clear", {})):
        refused = client.refused(f"thread/goal/{what}", {"threadId": thread, **params})
        assert refused == (-32600, f"ephemeral thread does not support goals: {thread}")
        refused = client.refused(f"thread/goal/{what}", {"threadId": unknown, **params})
        assert refused == (-32600, f"thread not found: {unknown}")


def test_of_two_clients_of_a_thread_one_lets_it_go_on(stage: Stage) -> None:
    model = stage.play(*RULES)
    with hosting(stage) as host:
        host.await_socket()
        first, second = (serve(stage, "--attach").app for _ in range(2))
        thread = first.start(cwd=stage.cwd)
        first.completed(first.say(thread, "hello"))
        second.result(second.request("thread/resume", {"threadId": thread}))
        goal(first, thread, "set", objective="spend it", tokenBudget=100)
        for client in (first, second):
            client.told("thread/goal/updated", 2)
        ended(first, 2)
        ended(second, 1)
        assert goal(second, thread, "get")["status"] == "budgetLimited"
        assert len(model.requests()) == 3
        for client in (first, second):
            client.hang_up()
