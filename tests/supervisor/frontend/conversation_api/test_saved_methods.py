"""Clients list stored conversations page by page, take one up again, and put one away."""

from pathlib import Path

import msgspec
import pytest

from greenroom.demo.script import Text, rule
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.supervisor.frontend.conversation_api.saved_methods import misplaced
from tests.supervisor.frontend.conversation_api.api_client import begin, event, listen, refused, say
from tests.support.client import Client
from tests.support.model import said
from tests.support.stage import Stage

HELLO = rule("", [Text("Good day.")])


def told(stage: Stage, client: Client, text: str) -> tuple[str, str]:
    """Hold a conversation of one turn; return its id and its file."""
    begun = client.result(client.request("newConversation", {"cwd": stage.cwd}))
    listen(client, begun["conversationId"])
    say(client, begun["conversationId"], text)
    event(client, begun["conversationId"], "task_complete")
    return begun["conversationId"], begun["rolloutPath"]


def test_conversations_are_listed_newest_first_page_by_page(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    ids = [told(stage, client, f"the tabs\n## My request for Codex:\nnumber {number}")[0] for number in range(3)]
    begin(client)
    first = client.result(client.request("listConversations", {"pageSize": 2}))
    second = client.result(client.request("listConversations", {"pageSize": 2, "cursor": first["nextCursor"]}))
    items = [*first["items"], *second["items"]]
    assert [item["conversationId"] for item in items] == sorted(ids, reverse=True)
    assert {item["preview"] for item in items} == {"number 0", "number 1", "number 2"}
    assert all(Path(item["path"]).is_file() and item["timestamp"] for item in items)
    assert second["nextCursor"]
    assert client.result(client.request("listConversations", {"cursor": second["nextCursor"]})) == {"items": []}
    assert len(client.result(client.request("listConversations", {"cursor": "?"}))["items"]) == 3
    for item in items:
        for name, value in (("conversationId", item["conversationId"]), ("rolloutPath", item["path"])):
            assert client.result(client.request("getConversationSummary", {name: value})) == {"summary": item}


def test_a_conversation_is_taken_up_by_another_run(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.serve(engine)
    conversation, path = told(stage, server.client, "hello")
    server.leave()
    client = stage.serve(engine).client
    request = client.request("resumeConversation", {"path": path, "overrides": {"model": "other"}})
    result = client.result(request)
    assert (result["conversationId"], result["model"], result["rolloutPath"]) == (conversation, "other", path)
    said_before = [(one["type"], one.get("message")) for one in result["initialMessages"]]
    assert said_before[:2] == [("user_message", "hello"), ("agent_message", "Good day.")]
    before, answer = client.messages[-2:]
    assert answer["id"] == request
    assert before["method"] == "codex/event"
    assert before["params"]["id"] == ""
    assert "_meta" not in before["params"]
    assert before["params"]["msg"]["type"] == "session_configured"
    assert before["params"]["msg"]["initial_messages"] == result["initialMessages"]
    listen(client, conversation)
    say(client, conversation, "and now")
    event(client, conversation, "task_complete")
    last = stage.model.requests()[-1]
    assert last.json["model"] == "other"
    assert said(last, "user")[-2:] == ["hello", "and now"]


def test_what_cannot_be_taken_up_is_refused(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    code, text = refused(client, "resumeConversation", {"path": str(stage.workspace / "none.jsonl")})
    assert code == -32603
    assert text.startswith("error resuming conversation: ")
    _, path = told(stage, client, "hello")
    other = stage.serve("fork").client
    code, text = refused(other, "resumeConversation", {"path": path})
    assert code == -32603, "another process writes it"
    code, text = refused(other, "resumeConversation", {"path": path, "overrides": {"profile": "none such"}})
    assert (code, text[:23]) == (-32600, "error deriving config: ")


def test_a_live_conversation_is_closed_and_put_away(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    client = stage.serve(engine).client
    conversation, path = told(stage, client, "hello")
    params = {"conversationId": conversation, "rolloutPath": path}
    assert client.result(client.request("archiveConversation", params)) == {}
    assert not Path(path).exists()
    assert (stage.home.path / "archived_sessions" / Path(path).name).is_file()
    assert client.result(client.request("listConversations", {})) == {"items": []}
    assert refused(client, "interruptConversation", params)[1].startswith("conversation not found")
    code, text = refused(client, "archiveConversation", params)
    assert (code, text[:33]) == (-32603, "failed to archive conversation: "[:33] + path[:1])


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/home/sessions/2025/rollout-2025-01-01T00-00-00-{id}.jsonl", None),
        ("/elsewhere/rollout-2025-01-01T00-00-00-{id}.jsonl", "must be in sessions directory"),
        ("/home/sessions/../rollout-2025-01-01T00-00-00-{id}.jsonl", "must be in sessions directory"),
        ("rollout-2025-01-01T00-00-00-{id}.jsonl", "must be in sessions directory"),
        ("/home/sessions/2025/", "missing file name"),
        ("/home/sessions", "missing file name"),
        ("/home/sessions/2025/rollout-2025-01-01T00-00-00-other.jsonl", "does not match conversation id {id}"),
    ],
)
def test_a_path_is_judged_by_its_names(path: str, fault: str | None) -> None:
    conversation_id = ConversationId(uuid7())
    expected = fault and fault.format(id=conversation_id)
    assert misplaced("/home", path.format(id=conversation_id), conversation_id) == expected


def test_a_misplaced_path_is_refused(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    conversation = begin(client)
    params = {"conversationId": conversation, "rolloutPath": "/etc/passwd"}
    assert refused(client, "archiveConversation", params) == (
        -32600,
        "rollout path `/etc/passwd` must be in sessions directory",
    )
    assert msgspec.json.encode(client.ask("interruptConversation", {"conversationId": conversation}))
