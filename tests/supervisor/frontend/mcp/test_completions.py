"""Ids of conversations, models and profiles are completed, wherever an argument asks for one."""

import pytest

from greenroom.demo.script import Text, rule
from tests.support.client import Client, Message, thread_id
from tests.support.stage import Stage

TEMPLATE = {"type": "ref/resource", "uri": "codex://conversations/{threadId}/transcript"}
PROMPT = {"type": "ref/prompt", "name": "ask"}
MORE = '[profiles.fast]\nmodel = "small"\n[profiles.fine]\n[profiles.other]\n[greenroom.models.local-model]\n'


@pytest.fixture
def client(stage: Stage) -> Client:
    stage.play(rule("hello", [Text("Good day.")]), more=MORE)
    (stage.home.path / "prompts").mkdir()
    (stage.home.path / "prompts" / "ask.md").write_text("Ask $MODEL as $PROFILE about $THREAD_ID or $OTHER")
    return stage.serve("fork").client


def complete(client: Client, reference: object, name: str, value: str) -> Message:
    found: Message = client.ask("completion/complete", {"ref": reference, "argument": {"name": name, "value": value}})
    return found


def values(client: Client, reference: object, name: str, value: str) -> list[str]:
    completion = complete(client, reference, name, value)["result"]["completion"]
    assert (completion["total"], completion["hasMore"]) == (len(completion["values"]), False)
    found: list[str] = completion["values"]
    return found


def test_the_ids_of_conversations_are_completed(client: Client) -> None:
    threads = [thread_id(client.result(client.codex("hello"))) for _ in range(2)]
    assert values(client, TEMPLATE, "threadId", "") == threads[::-1]
    assert values(client, TEMPLATE, "threadId", threads[0][:-1].upper()) == threads[:1]
    assert values(client, PROMPT, "THREAD_ID", threads[1]) == threads[1:]
    assert values(client, TEMPLATE, "threadId", "zzz") == []


def test_models_and_profiles_are_completed(client: Client) -> None:
    assert values(client, PROMPT, "PROFILE", "fi") == ["fine"]
    assert values(client, PROMPT, "PROFILE", "f") == ["fast", "fine"]
    models = values(client, PROMPT, "MODEL", "")
    assert models[:2] == ["scripted", "local-model"]
    assert "gpt-5" in models
    assert values(client, PROMPT, "OTHER", "") == []


def test_a_configuration_that_cannot_be_read_offers_nothing_of_its_own(stage: Stage, client: Client) -> None:
    stage.home.config.write_text("no toml")
    assert values(client, PROMPT, "PROFILE", "") == []
    assert "gpt-5" in values(client, PROMPT, "MODEL", "")


def test_more_than_may_be_told_are_counted(stage: Stage, client: Client) -> None:
    stage.home.config.write_text("".join(f"[profiles.p{number:03}]\n" for number in range(101)))
    completion = complete(client, PROMPT, "PROFILE", "p")["result"]["completion"]
    assert (len(completion["values"]), completion["total"], completion["hasMore"]) == (100, 101, True)


def test_what_is_not_known_is_refused(client: Client) -> None:
    for reference in (
        {"type": "ref/prompt", "name": "fly"},
        {"type": "ref/resource", "uri": "file:///x"},
        {"type": "x"},
        None,
    ):
        assert complete(client, reference, "MODEL", "")["error"]["code"] == -32602
