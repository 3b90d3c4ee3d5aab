"""A directory that a call names is looked at when the call comes in, not by each command in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import CommandStep, Quote, rule
from tests.supervisor.frontend.conversation_api.api_client import begin, event, listen, refused
from tests.support.client import Client, text, thread_id
from tests.support.stage import Stage

WHERE: Final = rule("", [CommandStep(("pwd",))], [Quote()])
BAD: Final = {"missing": "does not exist", "file": "is not a directory", "~nobody-here": "does not exist"}


def by_tool(client: Client, cwd: str) -> str:
    result = client.result(client.codex("where", cwd=cwd))
    assert result["isError"]
    return text(result)


def by_conversation(client: Client, cwd: str) -> str:
    return refused(client, "newConversation", {"cwd": cwd})[1]


def by_turn(client: Client, cwd: str) -> str:
    conversation = begin(client)
    listen(client, conversation)
    client.request(
        "sendUserTurn",
        {
            "conversationId": conversation,
            "items": [{"type": "text", "data": {"text": "where"}}],
            "cwd": cwd,
            "approvalPolicy": "never",
            "sandboxPolicy": {"mode": "danger-full-access"},
            "model": "scripted",
            "summary": "auto",
        },
    )
    return str(event(client, conversation, "error")["message"])


def by_command(client: Client, cwd: str) -> str:
    return refused(client, "execOneOffCommand", {"command": ["pwd"], "cwd": cwd})[1]


WAYS: Final[dict[str, Callable[[Client, str], str]]] = {
    "the tool": by_tool,
    "a new conversation": by_conversation,
    "a turn": by_turn,
    "a single command": by_command,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_is_none_is_an_error_at_once(stage: Stage, way: str) -> None:
    stage.play(WHERE)
    (stage.workspace / "file").touch()
    client = stage.serve("fork").client
    for name, fault in BAD.items():
        said = WAYS[way](client, name if name.startswith("~") else str(stage.workspace / name))
        assert fault in said
        assert name in said
        assert "`cwd`" in said
    assert stage.model.requests() == []


@pytest.mark.parametrize(("cwd", "expected"), [("~", "."), ("~/shop", "shop")])
def test_a_tilde_is_the_users_home(stage: Stage, cwd: str, expected: str) -> None:
    stage.play(WHERE)
    (stage.workspace / "shop").mkdir()
    client = stage.serve("fork", HOME=str(stage.workspace)).client
    result = client.result(client.codex("where", cwd=cwd))
    assert text(result).strip().endswith(str((stage.workspace / expected).resolve()))


def test_a_writable_root_may_begin_with_a_tilde_and_one_that_is_missing_is_told(stage: Stage) -> None:
    (stage.workspace / "out").mkdir()
    stage.play(rule("", [CommandStep(("touch", str(stage.workspace / "out" / "made")))], [Quote()]))
    (stage.workspace / "in").mkdir()
    client = stage.serve("fork", HOME=str(stage.workspace)).client
    roots = {"sandbox_workspace_write.writable_roots": ["~/out", "~/gone"]}
    call = client.codex("make", cwd=str(stage.workspace / "in"), sandbox="workspace-write", config=roots)
    client.result(call)
    assert (stage.workspace / "out" / "made").exists()
    assert str(stage.workspace / "gone") in client.event(call, "warning")["message"]


def test_a_conversation_whose_directory_is_gone_goes_on_and_says_so(stage: Stage) -> None:
    stage.play(rule("", [Quote("Good day.")]))
    place = Path(stage.workspace / "place")
    place.mkdir()
    server = stage.serve("fork")
    thread = thread_id(server.client.result(server.client.codex("hello", cwd=str(place))))
    server.leave()
    place.rmdir()
    client = stage.serve("fork").client
    call = client.reply(thread, "hello")
    assert not client.result(call).get("isError")
    assert str(place) in client.event(call, "warning")["message"]
