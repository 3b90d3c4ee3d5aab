"""Each conversation is there as resources: what was said, and what was changed."""

from typing import Any

import pytest

from greenroom.demo.script import PatchStep, Text, rule
from greenroom.supervisor.frontend.mcp.resources import NOT_FOUND, PAGE
from tests.support.client import Client, Message, thread_id
from tests.support.modern import Modern
from tests.support.stage import Stage

PATCH = "*** Begin Patch\n*** Add File: greeting.txt\n+hello\n*** End Patch\n"
RULES = (
    rule("hello", [Text("Good day.")]),
    rule("again", [Text("And again.")]),
    rule("patch it", [PatchStep(PATCH)], [Text("Patched.")]),
)
NOBODY = "01a20312-0577-77d3-9bb9-ad78bbf82560"


@pytest.fixture
def client(stage: Stage) -> Client:
    stage.play(*RULES)
    return stage.serve("fork").client


def address(thread: str, aspect: str = "transcript") -> str:
    return f"codex://conversations/{thread}/{aspect}"


def listed(client: Client, **params: Any) -> list[Message]:
    found: list[Message] = client.ask("resources/list", params)["result"]["resources"]
    return found


def read(client: Client, uri: str) -> Message:
    (content,) = client.ask("resources/read", {"uri": uri})["result"]["contents"]
    assert content["uri"] == uri
    found: Message = content
    return found


def test_a_conversation_is_listed_and_read_as_transcript_and_diff(stage: Stage, engine: str) -> None:
    stage.play(*RULES)
    client = stage.serve(engine).client
    assert listed(client) == []
    thread = thread_id(client.result(client.codex("patch it", cwd=stage.cwd)))
    client.result(client.reply(thread, "again"))
    transcript, diff = listed(client)
    assert (transcript["uri"], diff["uri"]) == (address(thread), address(thread, "diff"))
    assert transcript["title"] == "Transcript: patch it"
    assert (transcript["mimeType"], diff["mimeType"]) == ("text/markdown", "text/x-diff")
    text = read(client, address(thread))["text"]
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[:3] == ["# patch it", "## Turn 1", "### User"]
    assert headings[-3:] == ["## Turn 2", "### User", "### Agent"]
    assert text.endswith("\nAnd again.\n")
    assert f"- Directory: {stage.cwd}\n" in text
    assert read(client, address(thread, "diff"))["text"] == (
        "diff --git a/greeting.txt b/greeting.txt\nnew file mode 100644\n--- /dev/null\n+++ b/greeting.txt\n"
        "@@ -0,0 +1 @@\n+hello\n"
    )


def test_conversations_of_earlier_servers_are_there(stage: Stage, client: Client) -> None:
    thread = thread_id(client.result(client.codex("hello")))
    other = stage.serve("fork").client
    assert [entry["uri"] for entry in listed(other)] == [address(thread), address(thread, "diff")]
    assert "Good day." in read(other, address(thread))["text"]
    assert read(other, address(thread, "diff"))["text"] == ""


def test_templates_name_both(client: Client) -> None:
    templates = client.ask("resources/templates/list")["result"]["resourceTemplates"]
    assert [one["uriTemplate"] for one in templates] == [address("{threadId}"), address("{threadId}", "diff")]


def test_a_long_list_comes_in_pages(stage: Stage, client: Client) -> None:
    thread = thread_id(client.result(client.codex("hello")))
    saved = stage.home.session(thread)
    for number in range(PAGE):
        other = f"{NOBODY[:-2]}{number:02}"
        saved.with_name(saved.name.replace(thread, other)).write_text(saved.read_text().replace(thread, other))
    first = client.ask("resources/list")["result"]
    second = client.ask("resources/list", {"cursor": first["nextCursor"]})["result"]
    assert (len(first["resources"]), len(second["resources"])) == (2 * PAGE, 2)
    assert "nextCursor" not in second
    uris = {entry["uri"] for page in (first, second) for entry in page["resources"]}
    assert len(uris) == 2 * (PAGE + 1)


UNKNOWN = [
    address(NOBODY),
    address("no-id"),
    address(NOBODY, "colour"),
    f"codex://conversations/{NOBODY}",
    "file:///etc/passwd",
    "",
    address("../../../etc/passwd"),
]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    modern = Modern(client)
    for uri in UNKNOWN:
        for method in ("resources/read", "resources/subscribe"):
            error = client.ask(method, {"uri": uri})["error"]
            assert (error["code"], error["data"]) == (NOT_FOUND, {"uri": uri})
        assert modern.answer(modern.request("resources/read", {"uri": uri}))["error"]["code"] == -32602


def test_params_of_no_form_are_refused(client: Client) -> None:
    odd: tuple[object, ...] = (None, {}, {"uri": 5}, [], "x")
    for params in odd:
        assert client.ask("resources/read", params)["error"]["code"] == -32602
    assert client.ask("resources/list", {"cursor": "x"})["error"]["code"] == -32602


def test_a_subscriber_hears_of_every_turn_until_it_has_heard_enough(client: Client) -> None:
    thread = thread_id(client.result(client.codex("hello")))
    for aspect in ("transcript", "diff"):
        assert client.ask("resources/subscribe", {"uri": address(thread, aspect)})["result"] == {}
    client.result(client.reply(thread, "again"))
    client.ask("ping")
    assert client.ask("resources/unsubscribe", {"uri": address(thread, "diff")})["result"] == {}
    assert client.ask("resources/unsubscribe", {"uri": address(thread, "diff")})["result"] == {}
    client.result(client.reply(thread, "again"))
    client.ask("ping")
    told = [
        message["params"]["uri"]
        for message in client.messages
        if message.get("method") == "notifications/resources/updated"
    ]
    assert told == [address(thread), address(thread, "diff"), address(thread)]


def changes(client: Client, name: str = "resources") -> int:
    client.ask("ping")
    return sum(message.get("method") == f"notifications/{name}/list_changed" for message in client.messages)


def test_a_change_of_the_list_is_announced_once_to_a_client_that_has_read_it(client: Client) -> None:
    first = thread_id(client.result(client.codex("hello")))
    assert changes(client) == 0, "nobody has read the list"
    assert len(listed(client)) == 2
    client.result(client.reply(first, "again"))
    assert changes(client) == 0, "the list is as it was"
    client.result(client.codex("hello"))
    assert changes(client) == 1
    client.result(client.codex("hello"))
    assert changes(client) == 1, "the client knows already"
    assert len(listed(client)) == 6
    client.result(client.codex("hello"))
    assert changes(client) == 2


def test_before_there_were_titles_the_name_says_what_it_is(stage: Stage) -> None:
    stage.play(*RULES)
    client = stage.start().client
    client.initialize("2025-03-26")
    client.result(client.codex("hello"))
    assert [entry["name"] for entry in listed(client)] == ["Transcript: hello", "Diff: hello"]
    assert not any("title" in entry for entry in listed(client))
