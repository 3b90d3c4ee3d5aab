"""Resources, prompts, completions and the log, as the official client asks for them in every handshake era."""

from pathlib import Path

import mcp_types
import pytest
from mcp import Client
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from greenroom.demo.script import Text, rule
from tests.conformance.oracle import Oracle
from tests.conformance.test_official_client import Events, converse, judge, thread_of
from tests.support.client import Client as RawClient
from tests.support.client import thread_id
from tests.support.stage import Stage

RULES = (rule("hello", [Text("Good day.")]),)
TEMPLATE = "codex://conversations/{threadId}/transcript"


def save_prompt(stage: Stage) -> None:
    folder = stage.home.path / "prompts"
    folder.mkdir()
    (folder / "review.md").write_text("---\ndescription: Reviews\n---\nReview $FILE with $MODEL.")


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_finds_all_of_it(stage: Stage, mode: str) -> None:
    stage.play(*RULES)
    save_prompt(stage)

    async def scene(client: Client, events: Events) -> None:
        thread = thread_of(await client.call_tool("codex", {"prompt": "hello"}))
        transcript, _diff = (await client.list_resources()).resources
        assert str(transcript.uri) == TEMPLATE.replace("{threadId}", thread)
        (content,) = (await client.read_resource(transcript.uri)).contents
        assert isinstance(content, mcp_types.TextResourceContents)
        assert "Good day." in content.text
        first, _ = (await client.list_resource_templates()).resource_templates
        assert first.uri_template == TEMPLATE
        (prompt,) = (await client.list_prompts()).prompts
        assert [argument.name for argument in prompt.arguments or ()] == ["FILE", "MODEL"]
        (message,) = (await client.get_prompt("review", {"FILE": "a", "MODEL": "b"})).messages
        assert isinstance(message.content, mcp_types.TextContent)
        assert message.content.text == "Review a with b."
        reference = mcp_types.ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
        completion = await client.complete(reference, {"name": "threadId", "value": thread[:4]})
        assert completion.completion.values == [thread]

    tap = converse(stage, "fork", scene, mode)
    judged = judge(tap).judged if mode == "legacy" else judge(tap, "2026-07-28").judged
    assert {"result of resources/list", "result of prompts/get", "result of completion/complete"} <= set(judged)


class Judge:
    """A raw client of one revision, every message of whose server is judged."""

    def __init__(self, client: RawClient, version: str) -> None:
        self.client = client
        self.oracle = Oracle(version)
        assert client.initialize(version)["protocolVersion"] == version

    def ask(self, method: str, params: object) -> dict[str, object]:
        request_id = self.client.request(method, params)
        self.oracle.sent({"id": request_id, "method": method})
        return self.client.result(request_id)


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
def test_each_revision_gets_what_it_knows(stage: Stage, version: str) -> None:
    stage.play(*RULES)
    save_prompt(stage)
    judge = Judge(stage.start().client, version)
    judge.oracle.sent({"id": 1, "method": "initialize"})
    client = judge.client
    judge.ask("logging/setLevel", {"level": "info"})
    thread = thread_id(judge.ask("tools/call", {"name": "codex", "arguments": {"prompt": "hello"}}))
    uri = TEMPLATE.replace("{threadId}", thread)
    judge.ask("tools/list", {})
    judge.ask("resources/list", {})
    judge.ask("resources/templates/list", {})
    judge.ask("resources/read", {"uri": uri})
    judge.ask("resources/subscribe", {"uri": uri})
    judge.ask("prompts/list", {})
    judge.ask("prompts/get", {"name": "review", "arguments": {"FILE": "a", "MODEL": "b"}})
    judge.ask(
        "completion/complete", {"ref": {"type": "ref/resource", "uri": uri.replace(thread, "{threadId}")}, **ARGUMENT}
    )
    judge.ask("tools/call", {"name": "codex", "arguments": {"prompt": "hello"}})
    judge.ask("tools/call", {"name": "codex-reply", "arguments": {"threadId": thread, "prompt": "hello"}})
    judge.ask("resources/unsubscribe", {"uri": uri})
    Path(stage.home.path / "prompts" / "review.md").unlink()
    client.until(lambda message: message.get("method") == "notifications/prompts/list_changed")
    judge.oracle.judge_all(client.messages)
    told = set(judge.oracle.judged)
    assert {"notifications/resources/list_changed", "notifications/resources/updated"} <= told
    titled = any("title" in entry for message in client.messages for entry in listed(message))
    assert titled == (version >= "2025-06-18")


ARGUMENT = {"argument": {"name": "threadId", "value": ""}}


def listed(message: dict[str, object]) -> list[dict[str, object]]:
    """Return what a result lists, and the server's name."""
    result = message.get("result")
    if not isinstance(result, dict):
        return []
    lists = [result.get(name, []) for name in ("tools", "resources", "resourceTemplates", "prompts")]
    return [*(entry for entries in lists for entry in entries), result.get("serverInfo", {})]
