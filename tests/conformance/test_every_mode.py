"""The official client gets the same out of the server in each of its modes, with a handshake and without."""

import asyncio
from collections.abc import Mapping

import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult
from mcp_types.version import LATEST_MODERN_VERSION

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.conformance.tap import Tap
from tests.conformance.test_official_client import NEWEST, Events, converse, judge, text_of, thread_of
from tests.support.model import Gate
from tests.support.stage import Stage

MODES = ["legacy", "auto", LATEST_MODERN_VERSION]
TOUCH = CommandStep(("touch", "it"))
RULES = (
    rule("touch", [TOUCH], [Quote("Done: ")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("hello", [Text("Good day.")]),
)


class User:
    """Answers what it is asked, and remembers it."""

    def __init__(self, *answers: ElicitResult) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        return self._answers.pop(0)


def version_of(mode: str) -> str:
    return NEWEST if mode == "legacy" else LATEST_MODERN_VERSION


def is_cancellation(message: Mapping[str, object]) -> bool:
    return message.get("method") == "notifications/cancelled"


async def touch(client: Client, stage: Stage) -> CallToolResult:
    return await client.call_tool("codex", {"prompt": "touch", "cwd": stage.cwd, "approval-policy": "untrusted"})


@pytest.mark.parametrize("mode", MODES)
def test_the_user_is_asked(stage: Stage, engine: str, mode: str) -> None:
    stage.play(*RULES)
    user = User(ElicitResult(action="accept", content={}), ElicitResult(action="decline"))

    async def scene(client: Client, events: Events) -> None:
        allowed = await touch(client, stage)
        assert (text_of(allowed), allowed.is_error) == ("Done: ", False)
        assert (stage.workspace / "it").exists()
        refused = await client.call_tool("codex-reply", {"threadId": thread_of(allowed), "prompt": "touch"})
        assert text_of(refused) == "Done: exec command rejected by user"

    oracle = judge(converse(stage, engine, scene, mode, user), version_of(mode))
    assert len(user.asked) == 2
    assert all(message.startswith("Allow Codex to run `touch it` in ") for message in user.asked)
    assert oracle.judged["result of tools/call"] == (2 if mode == "legacy" else 4)


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_cannot_ask_is_not_asked(stage: Stage, mode: str) -> None:
    stage.play(*RULES)

    async def scene(client: Client, events: Events) -> None:
        assert "cannot ask its user" in text_of(await touch(client, stage))

    judge(converse(stage, "fork", scene, mode), version_of(mode))


@pytest.mark.parametrize("mode", MODES)
def test_a_client_is_told_of_progress(stage: Stage, mode: str) -> None:
    gate = Gate()
    stage.play(rule("think", [gate.wait, Text("Thought.")]))
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))
        stage.model.open(gate)

    async def scene(client: Client, events: Events) -> None:
        assert text_of(await client.call_tool("codex", {"prompt": "think"}, progress_callback=hear)) == "Thought."

    oracle = judge(converse(stage, "fork", scene, mode), version_of(mode))
    assert heard
    assert all(message for _, message in heard)
    assert oracle.judged["notifications/progress"] >= len(heard)


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_the_client_gives_up_ends_its_turn(stage: Stage, mode: str) -> None:
    stage.play(*RULES)
    tap = Tap()

    async def scene(client: Client, events: Events) -> None:
        call = asyncio.create_task(client.call_tool("codex", {"prompt": "stall"}))
        await asyncio.to_thread(stage.model.until, lambda now: now.streaming == 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.to_thread(stage.model.until, lambda now: now.abandoned == 1)
        assert text_of(await client.call_tool("codex", {"prompt": "hello"})) == "Good day."
        if mode == "legacy":
            (given_up,) = [message["params"]["requestId"] for message in tap.sent if is_cancellation(message)]
            await tap.until(lambda message: message.get("id") == given_up)

    oracle = judge(converse(stage, "fork", scene, mode, tap=tap), version_of(mode))
    assert oracle.judged["result of tools/call"] == (2 if mode == "legacy" else 1)
