"""The user's saved prompts are prompts of the server, and a change of them is told."""

import pytest

from greenroom.demo.script import Text, rule
from greenroom.supervisor.frontend.mcp.prompts import PAGE
from tests.support.client import Client
from tests.support.stage import Stage

REVIEW = "---\ndescription: Reviews a file\nargument-hint: FILE=<path>\n---\nReview $FILE. $1\n"


@pytest.fixture
def client(stage: Stage) -> Client:
    stage.play(rule("hello", [Text("Good day.")]))
    save(stage, "review", REVIEW)
    save(stage, "tidy-up", "Tidy up.")
    return stage.serve("fork").client


def save(stage: Stage, name: str, text: str) -> None:
    folder = stage.home.path / "prompts"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text)


def test_prompts_are_listed_with_their_arguments(client: Client) -> None:
    hint = "FILE=<path>"
    assert client.ask("prompts/list")["result"] == {
        "prompts": [
            {
                "name": "review",
                "title": "review",
                "description": "Reviews a file",
                "arguments": [
                    {"name": "FILE", "description": hint, "required": True},
                    {"name": "1", "description": hint, "required": False},
                ],
            },
            {"name": "tidy-up", "title": "tidy up"},
        ]
    }


def test_a_prompt_comes_with_its_arguments_in_place(client: Client) -> None:
    result = client.ask("prompts/get", {"name": "review", "arguments": {"FILE": "a.py", "1": "Be kind."}})["result"]
    message = {"role": "user", "content": {"type": "text", "text": "Review a.py. Be kind.\n"}}
    assert result == {"description": "Reviews a file", "messages": [message]}
    assert client.ask("prompts/get", {"name": "tidy-up"})["result"]["messages"][0]["content"]["text"] == "Tidy up."


REFUSED = [
    ({"name": "review"}, "prompt review needs a value for FILE"),
    ({"name": "fly"}, "Unknown prompt: fly"),
    ({"name": "../config"}, "Unknown prompt: ../config"),
    ({"name": "review", "arguments": {"FILE": 5}}, "invalid params for prompts/get"),
    ({}, "invalid params for prompts/get"),
    (None, "invalid params for prompts/get"),
]


def test_a_prompt_that_cannot_be_had_is_refused_with_the_reason(client: Client) -> None:
    for params, why in REFUSED:
        error = client.ask("prompts/get", params)["error"]
        assert error["code"] == -32602
        assert error["message"].startswith(why)


def test_many_prompts_come_in_pages(stage: Stage, client: Client) -> None:
    for number in range(PAGE):
        save(stage, f"a{number:03}", "text")
    first = client.ask("prompts/list")["result"]
    second = client.ask("prompts/list", {"cursor": first["nextCursor"]})["result"]
    names = [entry["name"] for page in (first, second) for entry in page["prompts"]]
    assert names == [*(f"a{number:03}" for number in range(PAGE)), "review", "tidy-up"]
    assert "nextCursor" not in second


def test_a_change_is_announced_to_clients_that_have_read_the_list(stage: Stage, client: Client) -> None:
    client.ask("prompts/list")
    save(stage, "tidy-up", "Tidy up again.")
    client.until(lambda message: message.get("method") == "notifications/prompts/list_changed")
    client.messages.clear()
    assert len(client.ask("prompts/list")["result"]["prompts"]) == 2
    (stage.home.path / "prompts" / "review.md").unlink()
    client.until(lambda message: message.get("method") == "notifications/prompts/list_changed")
    assert len(client.ask("prompts/list")["result"]["prompts"]) == 1


def test_a_home_without_prompts_has_none(stage: Stage) -> None:
    stage.play()
    client = stage.serve("fork").client
    assert client.ask("prompts/list")["result"] == {"prompts": []}
