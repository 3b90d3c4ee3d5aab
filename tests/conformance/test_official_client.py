"""The official client of the protocol finds everything as it expects it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import jsonschema
import pytest
from mcp import Client
from mcp.client.extension import ClientExtension, NotificationBinding
from mcp.client.session import ElicitationFnT
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, Implementation, TextContent
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION
from pydantic import BaseModel, ConfigDict, Field

from greenroom.demo.script import CommandStep, FailStep, Quote, Stall, Text, rule
from tests.conformance.oracle import Oracle
from tests.conformance.tap import Tap
from tests.support.model import said
from tests.support.stage import Stage

NEWEST = HANDSHAKE_PROTOCOL_VERSIONS[-1]
RULES = (
    rule("hello", [Text(("Good ", "day.")), CommandStep(("echo", "to you"))], [Quote("Good day ")]),
    rule("again", [Text("And to you again.")]),
    rule("fail", [FailStep(400, {"error": {"message": "no"}})]),
    rule("stall", [Text("hm"), Stall()]),
)
Scene = Callable[[Client, "Events"], Awaitable[None]]


class EventParams(BaseModel):
    """Params of `codex/event`."""

    model_config = ConfigDict(extra="allow")

    id: str
    msg: dict[str, Any]
    meta: dict[str, Any] = Field(alias="_meta")


class Events(ClientExtension):
    """How an application of the official client gets to see the server's events."""

    identifier = "com.example/codex-events"

    def __init__(self) -> None:
        self.seen: list[EventParams] = []
        self._heard = asyncio.Event()

    @property
    def kinds(self) -> list[str]:
        return [params.msg["type"] for params in self.seen]

    async def until(self, kind: str, count: int = 1) -> None:
        """Wait until so many events of a kind have been seen; answers may overtake them on their way to us."""
        async with asyncio.timeout(20):
            while self.kinds.count(kind) < count:
                self._heard.clear()
                await self._heard.wait()

    def notifications(self) -> Sequence[NotificationBinding[EventParams]]:
        return [NotificationBinding(method="codex/event", params_type=EventParams, handler=self._take)]

    async def _take(self, params: EventParams) -> None:
        self.seen.append(params)
        self._heard.set()


def converse(
    stage: Stage,
    engine: str,
    scene: Scene,
    mode: str = "legacy",
    elicitation: ElicitationFnT | None = None,
    extensions: Sequence[ClientExtension] = (),
    tap: Tap | None = None,
) -> Tap:
    """Play a scene between the official client and a server; return what was said.

    A scene that waits for messages which its client passes over brings a tap of its own.
    """
    command, *words = stage.command("mcp-server", "--engine", engine)
    parameters = StdioServerParameters(command=command, args=words, env=stage.environment(), cwd=stage.cwd)
    tap, events = tap or Tap(), Events()

    async def run() -> None:
        with stage.log.open("a") as log:
            transport = tap.transport(parameters, log)
            me = Implementation(name="promises", version="1")
            async with Client(
                transport,
                mode=mode,
                extensions=[events, *extensions],
                client_info=me,
                elicitation_callback=elicitation,
            ) as client:
                await scene(client, events)

    asyncio.run(run())
    assert tap.unreadable == []
    return tap


def judge(tap: Tap, version: str = NEWEST) -> Oracle:
    oracle = Oracle(version)
    for message in tap.sent:
        oracle.sent(message)
    oracle.judge_all(tap.received)
    return oracle


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def thread_of(result: CallToolResult) -> str:
    content = result.structured_content
    assert isinstance(content, dict)
    thread = content["threadId"]
    assert isinstance(thread, str)
    return thread


@pytest.mark.executed  # by the client
def test_the_official_client_holds_a_conversation(stage: Stage, engine: str) -> None:
    stage.play(*RULES)

    async def scene(client: Client, events: Events) -> None:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed][:2] == ["codex", "codex-reply"]
        for tool in listed:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.output_schema is not None
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        first = await client.call_tool("codex", {"prompt": "hello", "cwd": stage.cwd})
        assert not first.is_error
        assert text_of(first) == "Good day to you"
        jsonschema.validate(first.structured_content, listed[0].output_schema)
        reply = await client.call_tool("codex-reply", {"threadId": thread_of(first), "prompt": "again"})
        assert text_of(reply) == "And to you again."
        assert thread_of(reply) == thread_of(first)
        jsonschema.validate(reply.structured_content, listed[1].output_schema)
        await events.until("task_complete", 2)
        kinds = events.kinds
        assert kinds.count("session_configured") == 1
        assert kinds.count("task_started") == kinds.count("task_complete") == 2
        assert "exec_command_end" in kinds
        assert {params.meta["threadId"] for params in events.seen} == {thread_of(first)}

    oracle = judge(converse(stage, engine, scene))
    assert oracle.judged["result of initialize"] == 1
    assert oracle.judged["result of tools/call"] == 2
    assert oracle.judged["codex/event"] > 10
    assert said(stage.model.requests()[-1], "user")[-2:] == ["hello", "again"]


def test_failures_are_results_that_fit_the_schema(stage: Stage, engine: str) -> None:
    stage.play(*RULES)

    async def scene(client: Client, events: Events) -> None:
        schema = (await client.list_tools()).tools[0].output_schema
        failed = await client.call_tool("codex", {"prompt": "fail"})
        assert failed.is_error
        jsonschema.validate(failed.structured_content, schema)
        wrong = await client.call_tool("codex", {"prompt": "hello", "sandbox": "none"})
        assert wrong.is_error
        assert wrong.structured_content is None
        unknown = await client.call_tool("codex-reply", {"prompt": "x", "threadId": "0" * 32})
        assert unknown.is_error
        jsonschema.validate(unknown.structured_content, schema)

    oracle = judge(converse(stage, engine, scene))
    assert oracle.judged["result of tools/call"] == 3


def test_a_call_that_the_client_gives_up_is_cancelled(stage: Stage) -> None:
    stage.play(*RULES)

    async def scene(client: Client, events: Events) -> None:
        call = asyncio.create_task(client.call_tool("codex", {"prompt": "stall"}))
        await events.until("agent_message_delta")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await events.until("turn_aborted")
        assert text_of(await client.call_tool("codex", {"prompt": "again"})) == "And to you again."

    judge(converse(stage, "fork", scene))


@pytest.mark.parametrize("mode", ["auto", LATEST_MODERN_VERSION])
def test_the_official_client_holds_a_conversation_without_a_handshake(stage: Stage, mode: str) -> None:
    stage.play(*RULES)

    async def scene(client: Client, events: Events) -> None:
        assert client.protocol_version == LATEST_MODERN_VERSION
        assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["codex", "codex-reply"]
        first = await client.call_tool("codex", {"prompt": "hello", "cwd": stage.cwd})
        assert text_of(first) == "Good day to you"
        reply = await client.call_tool("codex-reply", {"threadId": thread_of(first), "prompt": "again"})
        assert (text_of(reply), thread_of(reply)) == ("And to you again.", thread_of(first))
        failed = await client.call_tool("codex", {"prompt": "fail"})
        assert failed.is_error
        assert events.seen == []

    oracle = judge(converse(stage, "fork", scene, mode=mode), LATEST_MODERN_VERSION)
    assert oracle.judged["result of tools/call"] == 3
    assert oracle.judged.get("result of server/discover", 0) == (mode == "auto")
    assert stage.left_over() == []


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
def test_every_message_of_every_handshake_version_fits_its_types(stage: Stage, version: str) -> None:
    stage.play(*RULES)
    oracle = Oracle(version)
    client = stage.start().client
    asked: list[tuple[str, dict[str, Any] | None]] = [
        ("tools/list", None),
        ("ping", None),
        ("resources/list", {}),
        ("tools/call", {"name": "codex", "arguments": {"prompt": "hello"}}),
        ("tools/call", {"name": "codex", "arguments": {"prompt": "fail"}}),
        ("tools/call", {"name": "codex", "arguments": {}}),
        ("tools/call", {"name": "codex-reply", "arguments": {"prompt": "x", "sessionId": "0" * 32}}),
        ("tools/call", {"name": "no such tool"}),
        ("tools/call", {}),
    ]
    assert client.initialize(version)["protocolVersion"] == version
    oracle.sent({"method": "initialize", "id": 1})
    for method, params in asked:
        request = client.request(method, params)
        oracle.sent({"method": method, "id": request})
        client.answer(request)
    oracle.judge_all(client.messages)
    assert oracle.judged["result of tools/call"] == 5
    assert oracle.judged["error"] == 1
