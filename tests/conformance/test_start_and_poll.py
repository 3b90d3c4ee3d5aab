"""A client without tasks starts turns and asks after them, in either era, as the official client sees it."""

import asyncio

import pytest
from mcp import Client

from greenroom.demo.script import Call, Text, rule
from tests.conformance.test_official_client import Events, converse, judge, text_of, thread_of
from tests.support.model import Gate
from tests.support.stage import Stage


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_starts_a_turn_and_asks_after_it(stage: Stage, mode: str) -> None:
    gate = Gate()
    step = Call("shell", {"command": ["echo", "stepped"]})
    stage.play(rule("work", [Text("First I step."), step], [gate.wait, Text("Stepped.")]))

    async def scene(client: Client, events: Events) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "wait" in tools["codex"].input_schema["properties"]
        begun = await client.call_tool("codex", {"prompt": "work", "wait": False})
        wanted = {"threadId": thread_of(begun), "callId": (begun.structured_content or {})["callId"]}
        heard, cursor = "", "0.0"
        while "stepped" not in heard:
            waited = await client.call_tool("codex-wait", {**wanted, "cursor": cursor})
            assert (waited.structured_content or {})["turn"]["state"] in ("waiting", "running")
            read = await client.call_tool("codex-read", {"threadId": wanted["threadId"], "cursor": cursor})
            heard, cursor = heard + text_of(read), (read.structured_content or {})["cursor"]
        stage.model.open(gate)
        async with asyncio.timeout(20):
            while (ended := (await client.call_tool("codex-wait", wanted))).structured_content["reason"] != "ended":
                pass
        assert (ended.structured_content or {})["turn"]["content"] == "Stepped."

    tap = converse(stage, "fork", scene, mode)
    assert "result of tools/call" in (judge(tap) if mode == "legacy" else judge(tap, "2026-07-28")).judged
