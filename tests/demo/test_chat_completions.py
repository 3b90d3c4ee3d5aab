"""The scripted model tells the same script over Chat Completions."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from greenroom.demo.script import (
    Call,
    CommandStep,
    Deltas,
    FailedEvent,
    PatchStep,
    Quote,
    ReasoningStep,
    Script,
    ScriptedAction,
    ScriptedUsage,
    Text,
    make_script,
    rule,
)
from greenroom.demo.scripted_model import ScriptedModel

Chunks = list[dict[str, Any]]


def always(*actions: ScriptedAction) -> Script:
    return make_script(rule("", actions))


def body(*messages: dict[str, Any], tools: tuple[str, ...] = ("shell",)) -> dict[str, Any]:
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    return {"model": "scripted", "messages": messages or [{"role": "user", "content": "hi"}], "tools": offered}


def ask(played: Script, request: dict[str, Any]) -> tuple[Chunks, bytes]:
    """Return the chunks of an answer, and what came last."""

    async def run() -> bytes:
        async with (
            ScriptedModel(played) as server,
            aiohttp.ClientSession() as session,
            session.post(f"{server.base_url}/chat/completions", json=request) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.read()

    *data, last, _ = [block.removeprefix(b"data: ") for block in asyncio.run(run()).split(b"\n\n")]
    return [json.loads(block) for block in data], last


def choices(chunks: Chunks) -> list[dict[str, Any]]:
    return [chunk["choices"][0] for chunk in chunks if chunk["choices"]]


def text_of(chunks: Chunks) -> str:
    return "".join(choice["delta"].get("content", "") for choice in choices(chunks))


def calls_of(chunks: Chunks) -> list[tuple[str, str]]:
    calls: dict[int, list[str]] = {}
    for choice in choices(chunks):
        for fragment in choice["delta"].get("tool_calls", ()):
            call = calls.setdefault(fragment["index"], [fragment["function"].get("name", ""), ""])
            call[1] += fragment["function"]["arguments"]
    return [(name, arguments) for name, arguments in calls.values()]


def test_text_ends_with_a_reason_usage_and_done() -> None:
    chunks, last = ask(always(Text(("Hel", "lo")), ScriptedUsage(7, 3, 2, 1)), body())
    assert text_of(chunks) == "Hello"
    assert [choice["finish_reason"] for choice in choices(chunks)] == [None, None, None, "stop"]
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 9,
    }
    assert last == b"[DONE]"


def test_many_deltas_are_all_told() -> None:
    chunks, _ = ask(always(Deltas(1000, ("a", "b"))), body())
    assert text_of(chunks) == "ab" * 500


def test_reasoning_goes_under_the_name_that_servers_use() -> None:
    chunks, _ = ask(always(ReasoningStep(("h", "m"))), body())
    assert "".join(choice["delta"].get("reasoning_content", "") for choice in choices(chunks)) == "hm"


def test_calls_come_in_fragments_each_under_its_index() -> None:
    chunks, _ = ask(always(Call("one", {"x": 1}), Call("two", "{broken")), body())
    assert calls_of(chunks) == [("one", '{"x":1}'), ("two", "{broken")]
    assert choices(chunks)[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("action", "tools", "expected"),
    [
        (CommandStep(("ls", "a b")), ("shell",), ("shell", '{"command":["ls","a b"]}')),
        (CommandStep(("ls", "a b")), ("shell_command",), ("shell_command", '{"command":"ls \'a b\'"}')),
        (CommandStep(("ls",)), ("exec_command", "shell"), ("exec_command", '{"cmd":"ls"}')),
        (PatchStep("***"), ("shell", "apply_patch"), ("apply_patch", '{"input":"***"}')),
        (PatchStep("***"), ("shell",), ("shell", '{"command":["apply_patch","***"]}')),
    ],
)
def test_commands_and_patches_take_the_form_on_offer(
    action: ScriptedAction, tools: tuple[str, ...], expected: tuple[str, str]
) -> None:
    assert calls_of(ask(always(action), body(tools=tools))[0]) == [expected]


def test_the_step_follows_from_the_outputs_after_the_last_message() -> None:
    played = make_script(rule("look", [CommandStep(("ls",))], [Quote("It says ")]))
    call = {"id": "a", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be good."},
        {"role": "user", "content": [{"type": "text", "text": "look"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": '{"output":"hello\\n","metadata":{}}'},
    ]
    assert calls_of(ask(played, body(*messages[:2]))[0])
    assert text_of(ask(played, body(*messages))[0]) == "It says hello"


def test_failure_is_an_error_and_nothing_follows() -> None:
    async def run() -> bytes:
        async with (
            ScriptedModel(always(Text("x"), FailedEvent("server_error", "no"))) as server,
            aiohttp.ClientSession() as session,
            session.post(f"{server.base_url}/chat/completions", json=body()) as response,
        ):
            return await response.read()

    last = asyncio.run(run()).split(b"\n\n")[-2]
    assert json.loads(last.removeprefix(b"data: ")) == {"error": {"code": "server_error", "message": "no"}}


def test_what_is_no_chat_is_refused() -> None:
    async def run() -> int:
        async with (
            ScriptedModel(always(Text("x"))) as server,
            aiohttp.ClientSession() as session,
            session.post(f"{server.base_url}/chat/completions", json={"input": []}) as response,
        ):
            return response.status

    assert asyncio.run(run()) == 400
