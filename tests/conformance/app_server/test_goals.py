"""Goals in the newest reference and in Greenroom: the same requests get the same answers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.reference_program import NEWEST, Missing, ensure_reference
from greenroom.demo.script import Call, ScriptedUsage, Text, rule
from tests.support.app_server import PROGRAM, AppClient, AppServer
from tests.support.client import Message
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]  # the first run on a machine fetches the reference

RULES: Final = (
    rule(
        "codex_internal_context",
        [Call("get_goal", {})],
        [Call("update_goal", {"status": "complete"}), ScriptedUsage(1000, 600, 10, 4)],
        [Text("All done.")],
    ),
    rule("", [Text("Good day.")]),
)
UNSTEADY: Final = ("createdAt", "updatedAt", "timeUsedSeconds", "threadId", "tokensUsed")
"""Members that are not compared. The reference leaves out the response that ends a goal in some runs."""
STEPS: Final[tuple[tuple[str, Mapping[str, object]], ...]] = (
    ("get", {}),
    ("set", {}),
    ("set", {"status": "paused"}),
    ("set", {"objective": "  "}),
    ("set", {"objective": "x" * 4001}),
    ("set", {"objective": "x", "tokenBudget": 0}),
    ("set", {"objective": "x", "tokenBudget": -1}),
    ("clear", {}),
    ("set", {"objective": "wait", "status": "paused", "tokenBudget": 5000}),
    ("set", {"tokenBudget": None}),
    ("set", {"objective": "other", "status": "complete"}),
    ("set", {"status": "blocked"}),
    ("set", {"objective": "again", "status": "paused", "tokenBudget": 5000}),
    ("turn", {"text": "hello"}),
    ("set", {"objective": "later"}),
    ("pursue", {"objective": "ship"}),
    ("get", {}),
    ("set", {"objective": "more"}),
    ("set", {"status": "paused"}),
    ("get", {}),
    ("clear", {}),
    ("clear", {}),
    ("get", {}),
)
"""Requests, turns of the user, and goals that are reached in a turn of their own."""


def play(stage: Stage, program: tuple[str, ...]) -> list[object]:
    """Go through the steps with a program, and return its answers without what differs from run to run."""
    server = AppServer(program, stage.environment(HOME=str(stage.home.path)), stage.log)
    stage.servers.append(server)
    client = server.app
    client.hello()
    thread = client.start(cwd=stage.cwd)
    return list(_answers(client, thread))


def _answers(client: AppClient, thread: str) -> Iterator[object]:
    for name, params in STEPS:
        if name == "turn":
            yield client.completed(client.say(thread, str(params["text"])))["status"]
        elif name == "pursue":
            before = client.methods().count("turn/completed")
            yield _plain(client.ask("thread/goal/set", {"threadId": thread, "status": "active", **params}), thread)
            yield client.told("turn/completed", before)["turn"]["status"]
        else:
            yield _plain(client.ask(f"thread/goal/{name}", {"threadId": thread, **params}), thread)


def _plain(answer: Message, thread: str) -> Any:
    if "error" in answer:
        return answer["error"]["code"], answer["error"]["message"].replace(thread, "ID")
    found = answer["result"]
    if found.get("goal"):
        return {member: value for member, value in found["goal"].items() if member not in UNSTEADY}
    return found


def test_the_same_requests_get_the_same_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    reference = ensure_reference(release=NEWEST)
    if isinstance(reference, Missing):
        pytest.skip(reference.reason)
    told = []
    for program in ((reference.path, "app-server"), PROGRAM):
        path: Path = tmp_path_factory.mktemp("goals")
        stage = Stage(path)
        stage.play(*RULES)
        stage.kills_expected = stage.trouble_expected = True
        try:
            told.append(play(stage, program))
        finally:
            for server in stage.servers:
                server.kill()
            stage.strike()
    theirs, own = told
    assert own == theirs
