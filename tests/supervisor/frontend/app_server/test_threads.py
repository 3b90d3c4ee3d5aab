"""Threads are found again: listed, read page by page, taken up, forked, named, put aside and deleted."""

from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.model import said as said_to_model
from tests.support.stage import Stage

RULES = (
    rule("one", [CommandStep(("sh", "-c", "echo here"))], [Quote("It said ")]),
    rule("two", [Text("Second.")]),
    rule("three", [Text("Third.")]),
    rule("stall", [Text("hm"), Stall()]),
)


def told(stage: Stage, client: AppClient, *prompts: str) -> str:
    """Hold a conversation, and return its id."""
    thread = client.start(cwd=stage.cwd)
    for prompt in prompts:
        assert client.completed(client.say(thread, prompt))["status"] == "completed"
    return thread


def result(client: AppClient, method: str, **params: object) -> dict[str, Any]:
    return client.result(client.request(method, params))


def texts(turns: list[dict[str, Any]]) -> list[list[str]]:
    return [[item.get("text") or item["content"][0]["text"] for item in turn["items"]] for turn in turns]


def test_a_thread_is_read_with_all_that_happened(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one", "two")
    read = result(client, "thread/read", threadId=thread, includeTurns=True)["thread"]
    assert (read["id"], read["preview"], read["status"]) == (thread, "one", {"type": "idle"})
    kinds = [[item["type"] for item in turn["items"]] for turn in read["turns"]]
    assert kinds == [["userMessage", "commandExecution", "agentMessage"], ["userMessage", "agentMessage"]]
    command = read["turns"][0]["items"][1]
    assert (command["aggregatedOutput"].strip(), command["exitCode"], command["status"]) == ("here", 0, "completed")
    assert [turn["status"] for turn in read["turns"]] == ["completed"] * 2
    assert result(client, "thread/read", threadId=thread)["thread"]["turns"] == []


def test_turns_and_items_are_listed_page_by_page(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one", "two", "three")
    first = result(client, "thread/turns/list", threadId=thread, limit=2)
    assert texts(first["data"]) == [["three", "Third."], ["two", "Second."]]
    rest = result(client, "thread/turns/list", threadId=thread, limit=2, cursor=first["nextCursor"])
    assert texts(rest["data"]) == [["one", "It said here\n"]] or texts(rest["data"]) == [["one", "It said here"]]
    assert rest["nextCursor"] is None
    back = result(client, "thread/turns/list", threadId=thread, cursor=rest["backwardsCursor"], sortDirection="asc")
    assert [turn["items"][0]["content"][0]["text"] for turn in back["data"]] == ["one", "two", "three"]
    items = result(client, "thread/items/list", threadId=thread, limit=4)
    assert [entry["item"]["type"] for entry in items["data"]] == [
        *("userMessage", "commandExecution", "agentMessage", "userMessage")
    ]
    anchor = {"type": "item", "itemId": items["data"][1]["item"]["id"]}
    at = result(client, "thread/items/list", threadId=thread, cursor=anchor, limit=1)
    assert at["data"] == items["data"][1:2]
    last = result(client, "thread/items/list", threadId=thread, sortDirection="desc", limit=1)
    assert last["data"][0]["item"]["text"] == "Third."
    one = result(client, "thread/items/list", threadId=thread, turnId=last["data"][0]["turnId"])
    assert len(one["data"]) == 2
    code, text = client.refused("thread/turns/list", {"threadId": thread, "cursor": "nowhere"})
    assert (code, text) == (-32600, "invalid cursor: nowhere")


def test_threads_are_listed_sorted_filtered_and_page_by_page(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    older, newer = told(stage, client, "one"), told(stage, client, "two")
    client.start(cwd=stage.cwd)  # nothing is said in it, so it is not listed

    def ids(**params: object) -> list[str]:
        return [thread["id"] for thread in result(client, "thread/list", **params)["data"]]

    assert ids() == [newer, older]
    assert ids(sortDirection="asc") == [older, newer]
    assert ids(sortKey="updated_at") == [newer, older]
    assert ids(searchTerm="TW") == [newer]
    assert ids(cwd="/nowhere") == []
    assert ids(cwd=[stage.cwd]) == [newer, older]
    assert ids(modelProviders=["mock"]) == [newer, older]
    assert ids(modelProviders=["openai"]) == []
    assert ids(excludedThreadIds=[newer]) == [older]
    assert ids(sourceKinds=["subAgent"]) == []
    page = result(client, "thread/list", limit=1)
    assert ids(cursor=page["nextCursor"]) == [older]


def test_a_thread_is_taken_up_with_its_turns_and_goes_on(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    server = app()
    thread = told(stage, server.app, "one")
    assert server.leave() == 0
    client = app().app
    assert result(client, "thread/read", threadId=thread)["thread"]["status"] == {"type": "notLoaded"}
    assert client.refused("turn/start", {"threadId": thread, "input": []})[1] == f"thread not found: {thread}"
    resumed = result(client, "thread/resume", threadId=thread, model="other")
    assert resumed["model"] == "other"
    assert [turn["status"] for turn in resumed["thread"]["turns"]] == ["completed"]
    assert client.completed(client.say(thread, "two"))["items"][0]["text"] == "Second."
    assert said_to_model(stage.model.requests()[-1], "user")[-2:] == ["one", "two"]
    assert result(client, "thread/resume", threadId=thread, excludeTurns=True)["thread"]["turns"] == []
    unknown = "01a2b3c4-0000-7000-8000-000000000000"
    refusal = client.refused("thread/resume", {"threadId": unknown})
    assert refusal == (-32600, f"no rollout found for thread id {unknown}")


def test_a_thread_is_forked_after_any_of_its_turns(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one", "two")
    turns = result(client, "thread/turns/list", threadId=thread, sortDirection="asc")["data"]
    fork = result(client, "thread/fork", threadId=thread, lastTurnId=turns[0]["id"])["thread"]
    assert fork["forkedFromId"] == thread
    assert [turn["id"] for turn in fork["turns"]] == [turns[0]["id"]]
    client.completed(client.say(fork["id"], "three"))
    assert said_to_model(stage.model.requests()[-1], "user")[-2:] == ["one", "three"]
    whole = result(client, "thread/fork", threadId=thread)["thread"]
    assert len(whole["turns"]) == 2
    code, text = client.refused("thread/fork", {"threadId": thread, "lastTurnId": "x"})
    assert (code, text) == (-32600, "turn not found: x")


def test_a_thread_is_named_put_aside_and_deleted(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one")
    assert result(client, "thread/name/set", threadId=thread, name=" Mine ") == {}
    assert client.told("thread/name/updated") == {"threadId": thread, "threadName": "Mine"}
    assert result(client, "thread/list")["data"][0]["name"] == "Mine"
    assert result(client, "thread/list", searchTerm="mine")["data"]
    assert result(client, "thread/archive", threadId=thread) == {}
    client.told("thread/archived", threadId=thread)
    assert result(client, "thread/list")["data"] == []
    assert [one["id"] for one in result(client, "thread/list", archived=True)["data"]] == [thread]
    assert client.refused("thread/archive", {"threadId": thread})[0] == -32600
    assert client.refused("thread/resume", {"threadId": thread})[0] == -32600
    assert result(client, "thread/unarchive", threadId=thread)["thread"]["status"] == {"type": "notLoaded"}
    client.told("thread/unarchived", threadId=thread)
    assert stage.home.session(thread).is_file()
    result(client, "thread/resume", threadId=thread)
    assert client.completed(client.say(thread, "two"))["status"] == "completed"
    assert result(client, "thread/delete", threadId=thread) == {}
    client.told("thread/deleted", threadId=thread)
    assert stage.home.sessions() == []
    assert client.refused("thread/read", {"threadId": thread})[0] == -32600


def test_a_client_that_leaves_a_thread_is_told_nothing_more_of_it(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one")
    assert thread in result(client, "thread/loaded/list")["data"]
    assert result(client, "thread/unsubscribe", threadId=thread) == {"status": "unsubscribed"}
    assert result(client, "thread/unsubscribe", threadId=thread) == {"status": "notSubscribed"}
    gone = "01a2b3c4-0000-7000-8000-000000000000"
    assert result(client, "thread/unsubscribe", threadId=gone) == {"status": "notLoaded"}


def test_a_thread_is_compacted_in_a_turn_of_its_own(stage: Stage, app: Serve) -> None:
    stage.play(rule("about to be removed", [Text("In short.")]), *RULES)
    client = app().app
    thread = told(stage, client, "two")
    assert result(client, "thread/compact/start", threadId=thread) == {}
    client.told("thread/compacted", threadId=thread)
    assert client.told("turn/completed", 1)["turn"]["status"] == "completed"
    kinds = [
        message["params"]["item"]["type"] for message in client.messages if message.get("method") == "item/completed"
    ]
    assert kinds[-1] == "contextCompaction"


@pytest.mark.parametrize("method", ["thread/read", "thread/archive", "thread/fork", "thread/turns/list"])
def test_a_name_that_is_none_is_refused(stage: Stage, app: Serve, method: str) -> None:
    stage.play(*RULES)
    assert app().app.refused(method, {"threadId": "../x"}) == (-32600, "invalid thread id: ../x")


def test_an_ephemeral_thread_leaves_no_file_and_ends_with_its_last_listener(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = result(client, "thread/start", cwd=stage.cwd, ephemeral=True)["thread"]
    assert (thread["ephemeral"], thread.get("path")) == (True, None)
    for prompt in ("one", "two"):
        assert client.completed(client.say(thread["id"], prompt))["status"] == "completed"
    assert said_to_model(stage.model.requests()[-1], "user")[-2:] == ["one", "two"]
    assert stage.home.sessions() == []
    assert result(client, "thread/list")["data"] == []
    assert result(client, "thread/read", threadId=thread["id"])["thread"]["preview"] == "one"
    assert result(client, "thread/unsubscribe", threadId=thread["id"]) == {"status": "unsubscribed"}
    assert result(client, "thread/unsubscribe", threadId=thread["id"]) == {"status": "notLoaded"}


def test_an_ephemeral_thread_whose_process_dies_says_that_it_begins_anew(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    server = app()
    client = server.app
    thread = result(client, "thread/start", cwd=stage.cwd, ephemeral=True)["thread"]["id"]
    client.completed(client.say(thread, "two"))
    stage.kills_expected = True
    for worker in server.workers():
        worker.kill()
    client.completed(client.say(thread, "three"))
    assert "is lost" in client.told("warning", threadId=thread)["message"]
    assert said_to_model(stage.model.requests()[-1], "user")[-1:] == ["three"]


def test_turns_are_taken_back(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one", "two")
    turns = result(client, "thread/turns/list", threadId=thread, sortDirection="asc")["data"]
    assert result(client, "thread/revert", threadId=thread, beforeTurnId=turns[1]["id"])["thread"]["id"] == thread
    client.told("thread/reverted", threadId=thread)
    left = result(client, "thread/turns/list", threadId=thread)["data"]
    assert [turn["id"] for turn in left] == [turns[0]["id"]]
    client.completed(client.say(thread, "three"))
    assert said_to_model(stage.model.requests()[-1], "user")[-2:] == ["one", "three"]
    code, text = client.refused("thread/revert", {"threadId": thread, "beforeTurnId": "x"})
    assert (code, text.endswith("turn not found: x")) == (-32600, True), text


def test_no_turn_is_taken_back_while_one_runs(stage: Stage, app: Serve) -> None:
    stage.play(*RULES)
    client = app().app
    thread = told(stage, client, "one")
    turn = result(client, "thread/turns/list", threadId=thread)["data"][0]["id"]
    client.say(thread, "stall")
    client.told("item/agentMessage/delta", threadId=thread)
    refusal = client.refused("thread/revert", {"threadId": thread, "beforeTurnId": turn})
    assert refusal == (-32600, "thread cannot be reverted while a turn runs")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"type": "uncommittedChanges"}, "uncommitted changes"),
        ({"type": "baseBranch", "branch": "main"}, "git merge-base HEAD main"),
        ({"type": "commit", "sha": "abc123", "title": "Fix"}, "git show abc123"),
        ({"type": "custom", "instructions": "Look at the tests."}, "Look at the tests."),
    ],
)
def test_a_review_is_a_turn_between_two_items(stage: Stage, app: Serve, target: dict[str, str], words: str) -> None:
    stage.play(rule("", [Text("All is well.")]))
    client = app().app
    thread = client.start(cwd=stage.cwd)
    begun = result(client, "review/start", threadId=thread, target=target)
    assert begun["reviewThreadId"] == thread
    turn = begun["turn"]["id"]
    assert client.completed(turn)["status"] == "completed"
    kinds = [item["type"] for item in client.items(turn)]
    assert (kinds[0], kinds[-1]) == ("enteredReviewMode", "exitedReviewMode")
    assert client.items(turn)[-1]["review"] == "All is well."
    assert words in said_to_model(stage.model.requests()[-1], "user")[-1]
