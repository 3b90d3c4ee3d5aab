"""The scripted model keeps to the wire, to its script and to its bounds."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.request import urlopen

import aiohttp
import pytest

from greenroom.demo.model_request import printed_output
from greenroom.demo.request_log import RequestLog, credential_digest
from greenroom.demo.script import (
    Call,
    CommandStep,
    Deltas,
    Disconnect,
    FailedEvent,
    FailStep,
    First,
    MalformedStep,
    PatchStep,
    Quote,
    ReasoningStep,
    Script,
    ScriptedAction,
    ScriptedUsage,
    Stall,
    Text,
    Think,
    Until,
    make_script,
    rule,
)
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.demo.scripts import BENCH, DEMO, FIRST_PROMPT, SECOND_PROMPT

SHELL = {"type": "function", "name": "shell"}
SOCKET_BUFFERS = 16 * 1024 * 1024
"""More than the kernel holds of one connection between a writer and a reader that does not read."""

Events = list[dict[str, Any]]
Scene = Callable[[ScriptedModel, aiohttp.ClientSession], Awaitable[None]]


def play(played: Script, scene: Scene) -> None:
    async def run() -> None:
        async with ScriptedModel(played) as server, aiohttp.ClientSession() as session:
            await scene(server, session)

    asyncio.run(run())


def always(*actions: ScriptedAction) -> Script:
    return make_script(rule("", actions))


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def output(text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "call_1", "output": text}


def body(*items: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = (SHELL,), key: str = "c1") -> dict[str, Any]:
    return {"model": "scripted", "input": items, "tools": tools, "stream": True, "prompt_cache_key": key}


def events_in(raw: bytes) -> Events:
    return [json.loads(block.partition(b"data: ")[2]) for block in raw.split(b"\n\n") if b"data: " in block]


async def ask(server: ScriptedModel, session: aiohttp.ClientSession, request: Mapping[str, Any]) -> Events:
    async with session.post(f"{server.base_url}/responses", json=request) as response:
        assert response.status == 200, await response.text()
        return events_in(await response.read())


def text_of(events: Events) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def done_items(events: Events) -> list[dict[str, Any]]:
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def test_it_says_plainly_that_it_is_a_script() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.get(server.base_url.removesuffix("v1")) as response:
            assert "script" in await response.text()
        async with session.post(f"{server.base_url}/responses", json=body(said("hi"))) as response:
            assert response.headers["X-Scripted-Model"] == "true"
            assert events_in(await response.read())[0]["response"]["model"] == "scripted"

    play(always(Text("hi")), scene)


def test_a_message_is_streamed_whole_and_under_one_id() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = await ask(server, session, body(said("hi")))
        assert [event["type"] for event in events] == [
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        (message,) = done_items(events)
        assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
        assert {event["item_id"] for event in events if "item_id" in event} == {message["id"]}
        assert events[0]["response"]["id"] == events[-1]["response"]["id"]
        assert events[-1]["response"]["usage"] == {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 9,
        }

    play(always(Text(("Hel", "lo")), ScriptedUsage(7, 3, 2, 1)), scene)


def test_the_step_follows_from_the_outputs_after_the_last_message() -> None:
    played = make_script(rule("first", [CommandStep(("true",))], [Text("one")]), rule("second", [Text("two")]))

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        begun = [said("the first"), {"type": "function_call", "call_id": "call_1", "name": "shell", "arguments": "{}"}]
        assert done_items(await ask(server, session, body(said("the first"))))[0]["type"] == "function_call"
        assert text_of(await ask(server, session, body(*begun, output("")))) == "one"
        assert text_of(await ask(server, session, body(*begun, output(""), said("the second")))) == "two"

    play(played, scene)


def test_a_step_with_two_calls_is_over_when_both_have_returned() -> None:
    played = make_script(rule("", [CommandStep(("a",)), CommandStep(("b",))], [CommandStep(("c",))], [Text("end")]))

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        calls = done_items(await ask(server, session, body(said("go"))))
        assert len({call["call_id"] for call in calls}) == 2
        (third,) = done_items(await ask(server, session, body(said("go"), output("a"), output("b"))))
        assert json.loads(third["arguments"]) == {"command": ["c"]}
        assert text_of(await ask(server, session, body(said("go"), *[output("x")] * 3))) == "end"
        assert "no further step" in text_of(await ask(server, session, body(said("go"), *[output("x")] * 4)))

    play(played, scene)


def test_a_hundred_conversations_do_not_mix() -> None:
    played = make_script(
        *(rule(f"<{number}>", [CommandStep((f"{number}",))], [Text(f"done {number}")]) for number in range(100))
    )

    async def converse(server: ScriptedModel, session: aiohttp.ClientSession, number: int) -> str:
        message = said(f"<{number}>")
        (call,) = done_items(await ask(server, session, body(message, key=f"c{number}")))
        assert json.loads(call["arguments"]) == {"command": [f"{number}"]}
        return text_of(await ask(server, session, body(message, output(""), key=f"c{number}")))

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        answers = await asyncio.gather(*(converse(server, session, number) for number in range(100)))
        assert answers == [f"done {number}" for number in range(100)]

    play(played, scene)


@pytest.mark.parametrize(
    ("tools", "kind", "arguments"),
    [
        ([SHELL], "shell", {"command": ["echo", "a b"]}),
        ([{"type": "function", "name": "exec_command"}], "exec_command", {"cmd": "echo 'a b'"}),
        ([{"type": "function", "name": "shell_command"}], "shell_command", {"command": "echo 'a b'"}),
    ],
)
def test_a_command_is_called_as_the_tools_on_offer_allow(
    tools: list[Mapping[str, Any]], kind: str, arguments: Mapping[str, Any]
) -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        (call,) = done_items(await ask(server, session, body(said("go"), tools=tools)))
        assert (call["type"], call["name"]) == ("function_call", kind)
        assert json.loads(call["arguments"]) == arguments

    play(always(CommandStep(("echo", "a b"))), scene)


def test_a_command_can_be_a_local_shell_call() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        (call,) = done_items(await ask(server, session, body(said("go"), tools=[{"type": "local_shell"}])))
        assert call["type"] == "local_shell_call"
        assert call["action"]["command"] == ["true"]

    play(always(CommandStep(("true",))), scene)


@pytest.mark.parametrize(
    ("tools", "kind", "member"),
    [
        ([{"type": "custom", "name": "apply_patch"}], "custom_tool_call", "input"),
        ([{"type": "function", "name": "apply_patch"}], "function_call", "arguments"),
        ([SHELL], "function_call", "arguments"),
    ],
)
def test_a_patch_is_applied_as_the_tools_on_offer_allow(tools: list[Mapping[str, Any]], kind: str, member: str) -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        (call,) = done_items(await ask(server, session, body(said("go"), tools=tools)))
        assert call["type"] == kind
        assert "*** Begin Patch" in call[member]

    play(always(PatchStep("*** Begin Patch\n*** End Patch\n")), scene)


def test_arguments_given_as_a_string_are_sent_as_they_stand() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        (call,) = done_items(await ask(server, session, body(said("go"))))
        assert call["arguments"] == "{not json"

    play(always(Call("shell", "{not json")), scene)


@pytest.mark.parametrize(
    "told",
    [
        '{"output":"a\\nb\\n","metadata":{"exit_code":0}}',
        "Chunk ID: 1\nWall time: 0.1 seconds\nOutput:\na\nb\n",
        "a\nb\n",
    ],
)
def test_what_a_command_printed_is_found_in_every_form(told: str) -> None:
    assert printed_output(told) == "a\nb\n"

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        assert text_of(await ask(server, session, body(said("go"), output(told)))) == "It says: a\nb."

    play(make_script(rule("", [CommandStep(("cat",))], [Quote("It says: ", ".")])), scene)


def test_reasoning_comes_with_its_summary() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = await ask(server, session, body(said("go")))
        reasoning, message = done_items(events)
        assert reasoning["summary"] == [{"type": "summary_text", "text": "Let me see"}]
        assert reasoning["encrypted_content"] == "sealed"
        assert message["type"] == "message"
        assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1]

    play(always(ReasoningStep(("Let me ", "see"), encrypted="sealed"), Text("Yes")), scene)


def test_two_hundred_thousand_deltas_arrive() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = 0
        async with session.post(f"{server.base_url}/responses", json=body(said("go"))) as response:
            async for line in response.content:
                events += line.startswith(b"event: response.output_text.delta")
        assert events == 200_000

    play(always(Deltas(200_000, whole="")), scene)


def test_the_deltas_of_a_message_add_up_to_it() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = await ask(server, session, body(said("go")))
        expected = "a\nb\u00e9" * 1666 + "a"
        assert text_of(events) == expected == done_items(events)[0]["content"][0]["text"]

    play(always(Deltas(5000 - 1, ("a", "\n", "b\u00e9"))), scene)


def test_many_different_pieces_keep_their_order() -> None:
    pieces = [f"{number} " for number in range(20_000)]

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        assert text_of(await ask(server, session, body(said("go")))) == "".join(pieces)

    play(always(Text(pieces)), scene)


def test_a_client_that_does_not_read_holds_only_its_own_stream_back() -> None:
    piece, count = "x" * 1000, 80_000

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.base_url}/responses", json=body(said("flood"))) as response:
            for _ in range(20):
                assert text_of(await ask(server, session, body(said("hi")))) == "hello"
            assert server.statistics().bytes_written < SOCKET_BUFFERS
            assert len(await response.read()) > count * len(piece)

    play(make_script(rule("flood", [Deltas(count, piece, whole="")]), rule("hi", [Text("hello")])), scene)


def test_a_broken_connection_ends_the_stream_in_the_middle() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        received = b""
        async with session.post(f"{server.base_url}/responses", json=body(said("go"))) as response:
            while b"output_item.done" not in received:
                received += await response.content.readany()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert text_of(events_in(received)) == "so far"
        assert "response.completed" not in received.decode()

    play(always(Text("so far"), Disconnect()), scene)


def test_an_orderly_end_only_leaves_out_the_completion() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = await ask(server, session, body(said("go")))
        assert events[-1]["type"] == "response.output_item.done"

    play(always(Text("so far"), Disconnect(orderly=True)), scene)


def test_a_stalled_stream_lasts_until_the_client_leaves() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.base_url}/responses", json=body(said("go"))) as response:
            while b"output_item.done" not in await response.content.readany():
                pass
            assert server.statistics().streaming == 1
            response.close()
        left = await server.until(lambda now: now.streaming == 0)
        assert left.abandoned == 1

    play(always(Text("hm"), Stall()), scene)


def test_leaving_the_context_ends_stalled_streams() -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            async with ScriptedModel(always(Stall())) as server:
                response = await session.post(f"{server.base_url}/responses", json=body(said("go")))
            with suppress(aiohttp.ClientError):
                await response.read()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_test_can_hold_the_model_back() -> None:
    async def run() -> None:
        gate = asyncio.Event()
        await asyncio.wait_for(scene(gate, always(Text("before"), Until(gate), Text("after"))), 10)

    async def scene(gate: asyncio.Event, played: Script) -> None:
        async with (
            ScriptedModel(played) as server,
            aiohttp.ClientSession() as session,
            session.post(f"{server.base_url}/responses", json=body(said("go"))) as response,
        ):
            received = b""
            while b"output_item.done" not in received:
                received += await response.content.readany()
            assert text_of(events_in(received)) == "before"
            gate.set()
            assert text_of(events_in(await response.read())) == "after"

    asyncio.run(run())


def test_pauses_lie_between_the_pieces() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        begun = time.monotonic()
        assert text_of(await ask(server, session, body(said("go")))) == "abc"
        assert time.monotonic() - begun >= 0.04

    play(always(Think(0.01), Text(("a", "b", "c"), pause=0.01)), scene)


def test_a_failure_has_its_status_body_and_headers() -> None:
    played = always(Think(0), FailStep(429, {"error": {"type": "usage_limit_reached"}}, {"Retry-After": "7"}))

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.base_url}/responses", json=body(said("go"))) as response:
            assert response.status == 429
            assert response.headers["Retry-After"] == "7"
            assert await response.json() == {"error": {"type": "usage_limit_reached"}}

    play(played, scene)


def test_a_step_can_fail_only_at_first_and_for_each_conversation_alone() -> None:
    async def status(server: ScriptedModel, session: aiohttp.ClientSession, key: str) -> int:
        async with session.post(f"{server.base_url}/responses", json=body(said("go"), key=key)) as response:
            await response.read()
            return response.status

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        assert [await status(server, session, key) for key in ("a", "a", "b", "a", "b", "b")] == [
            *(503, 503, 503, 200, 503, 200)
        ]

    play(always(First(2, FailStep(503)), Text("ok")), scene)


def test_a_failed_response_does_not_complete() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        events = await ask(server, session, body(said("go")))
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}

    play(always(FailedEvent("rate_limit_exceeded", "slow down")), scene)


def test_malformed_bytes_are_sent_as_they_are() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.post(f"{server.base_url}/responses", json=body(said("go"))) as response:
            received = await response.read()
        assert b"data: {broken\n\n\xff" in received
        assert b"response.completed" in received

    play(always(MalformedStep(b"data: {broken\n\n\xff")), scene)


def test_a_rule_can_be_a_pattern_and_a_message_without_a_rule_is_answered() -> None:
    played = make_script(rule(re.compile(r"^list \d+$"), [Text("listed")]))

    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        assert text_of(await ask(server, session, body(said("list 12")))) == "listed"
        assert "no answer" in text_of(await ask(server, session, body(said("list twelve"))))

    play(played, scene)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/models", 404), ("POST", "/responses", 400)])
def test_other_requests_are_refused_and_recorded(method: str, path: str, status: int) -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        async with session.request(method, server.base_url + path, data=b"no json") as response:
            assert response.status == status
            assert "message" in (await response.json())["error"]
        assert server.requests[0].path.endswith(path)

    play(always(Text("hi")), scene)


def test_recorded_requests_never_hold_the_bearer() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        headers = {"Authorization": "Bearer hunter2", "Session_Id": "s1"}
        before = time.monotonic()
        async with session.post(f"{server.base_url}/responses", json=body(said("hi")), headers=headers) as response:
            await response.read()
        await ask(server, session, body(said("hi")))
        with_bearer, without = server.requests
        assert with_bearer.authorized
        assert with_bearer.credential == credential_digest("hunter2")
        assert with_bearer.headers["session_id"] == "s1"
        assert "authorization" not in with_bearer.headers
        assert "hunter2" not in repr(with_bearer) + repr(vars(with_bearer))
        assert before <= with_bearer.arrived <= time.monotonic()
        assert with_bearer.json["model"] == "scripted"
        assert with_bearer.request.message == "hi"
        assert not without.authorized
        async with session.get(server.base_url.replace("/v1", "/requests")) as response:
            assert "hunter2" not in await response.text()

    play(always(Text("hi")), scene)


def test_the_log_is_bounded_in_number_and_in_bytes() -> None:
    log = RequestLog(max_requests=3, max_bytes=100)
    for number in range(10):
        log.record(float(number), "POST", "/", {}, b"x" * 10)
    assert [recorded.number for recorded in log] == [8, 9, 10]
    log.record(10.0, "POST", "/", {}, b"x" * 95)
    assert [recorded.number for recorded in log] == [11]
    assert log.total == 11
    assert log.after(11) == []


def test_one_can_wait_for_the_next_request() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        log = server.base_url.replace("/v1", "/requests?after=0&wait=30")
        waiting = asyncio.ensure_future(session.get(log))
        await ask(server, session, body(said("hi")))
        async with await waiting as response:
            (seen,) = (await response.json())["requests"]
        assert (seen["message"], seen["conversation"], seen["authorized"]) == ("hi", "c1", False)

    play(always(Text("hi")), scene)


def test_the_named_scripts_answer_their_prompts() -> None:
    async def scene(server: ScriptedModel, session: aiohttp.ClientSession) -> None:
        kinds = [
            item.get("name", item["type"]) for item in done_items(await ask(server, session, body(said(FIRST_PROMPT))))
        ]
        assert kinds == ["message", "update_plan"]
        (call,) = done_items(await ask(server, session, body(said(SECOND_PROMPT))))
        assert call["name"] == "shell"

    play(DEMO, scene)
    assert len({candidate.says for candidate in BENCH.rules}) == len(BENCH.rules)


def test_as_a_process_it_serves_until_its_input_is_closed() -> None:
    command = [sys.executable, "-I", "-m", "greenroom.demo.scripted_model", "--script", "echo"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        base_url = json.loads(process.stdout.readline())["base_url"]
        before = time.monotonic()
        with urlopen(f"{base_url}/responses", json.dumps(body(said("hi"))).encode()) as response:
            assert "from a script" in text_of(events_in(response.read()))
        after = time.monotonic()
        with urlopen(base_url.replace("/v1", "/requests")) as response:
            (seen,) = json.load(response)["requests"]
        assert before <= seen["arrived"] <= after
        process.stdin.close()
        assert process.wait() == 0
    port = int(base_url.split(":")[2].split("/")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
