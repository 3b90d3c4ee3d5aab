"""A client without tasks starts turns and asks after them, in either era, as the official client sees it."""

import asyncio

import pytest
from mcp import Client

from greenroom.demo.script import Call, Quote, Text, rule
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


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_decides_by_a_tool_what_it_cannot_ask(stage: Stage, mode: str) -> None:
    touch = {"command": ["bash", "-c", "x=1; touch it && echo touched"], "with_escalated_permissions": True}
    stage.play(rule("touch", [Call("shell", touch)], [Quote("Said: ")]), more="\n[greenroom]\napproval_tools = true\n")

    async def scene(client: Client, events: Events) -> None:
        assert "codex-approve" in {tool.name for tool in (await client.list_tools()).tools}
        arguments = {"prompt": "touch", "cwd": stage.cwd, "approval-policy": "untrusted", "wait": False}
        begun = await client.call_tool("codex", arguments)
        wanted = {"threadId": thread_of(begun), "callId": (begun.structured_content or {})["callId"]}
        asked = (await client.call_tool("codex-wait", wanted)).structured_content or {}
        assert asked["reason"] == "asked"
        (approval,) = ((await client.call_tool("codex-approvals", {})).structured_content or {})["approvals"]
        decision = {"approvalId": approval["approvalId"], "decision": "approve"}
        assert not (await client.call_tool("codex-approve", decision)).is_error
        ended = (await client.call_tool("codex-wait", wanted)).structured_content or {}
        assert "touched" in ended["turn"]["content"]
        # and the same for a call that is waited for, in either era
        waiting = asyncio.ensure_future(client.call_tool("codex", {**arguments, "wait": True}))
        found: list[dict[str, str]] = []
        async with asyncio.timeout(20):
            while not found:
                found = ((await client.call_tool("codex-approvals", {})).structured_content or {})["approvals"]
        await client.call_tool("codex-approve", {"approvalId": found[0]["approvalId"], "decision": "approve"})
        assert "touched" in text_of(await waiting)

    tap = converse(stage, "fork", scene, mode)
    assert "result of tools/call" in (judge(tap) if mode == "legacy" else judge(tap, "2026-07-28")).judged
