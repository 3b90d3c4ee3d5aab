"""The official Python client of the protocol, unchanged, over HTTP: in every revision, and with what may go wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitResult, Implementation

from greenroom.config.tables.http import HttpTable
from tests.support.http_host import TOKEN, Host, host
from tests.support.loop import on_loop, until

MODES = ["legacy", "auto"]


@asynccontextmanager
async def official(
    scene: Host, mode: str, elicitation: ElicitationFnT | None = None, token: str = TOKEN
) -> AsyncIterator[Client]:
    """Connect the official client."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30)) as http:
        transport = streamable_http_client(scene.url, http_client=http)
        me = Implementation(name="promises", version="1")
        async with Client(transport, mode=mode, client_info=me, elicitation_callback=elicitation) as client:
            yield client


async def call(client: Client, prompt: str, thread: str | None = None) -> CallToolResult:
    """Call a tool."""
    if thread is None:
        result = await client.call_tool("codex", {"prompt": prompt})
    else:
        result = await client.call_tool("codex-reply", {"threadId": thread, "prompt": prompt})
    assert isinstance(result, CallToolResult)
    return result


def thread_of(result: CallToolResult) -> str:
    content: Any = result.structured_content
    thread = content["threadId"]
    assert isinstance(thread, str)
    return thread


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_it_holds_a_conversation(mode: str) -> None:
    async with host() as scene, official(scene, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[:2] == ["codex", "codex-reply"]
        first = await call(client, "talk")
        assert not first.is_error
        again = await call(client, "talk", thread_of(first))
        assert thread_of(again) == thread_of(first)
        assert (await client.list_resources()).resources == []


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_its_user_is_asked(mode: str) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={})

    async with host() as scene, official(scene, mode, answer) as client:
        assert not (await call(client, "ask")).is_error
        assert len(asked) == 1
        assert asked[0].endswith("May I?")


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_a_killed_worker_fails_its_call_and_the_conversation_goes_on(mode: str) -> None:
    async with host() as scene, official(scene, mode) as client:
        thread = thread_of(await call(client, "hello"))
        died = await call(client, "die", thread)
        assert died.is_error
        assert died.structured_content is not None
        assert died.structured_content["error"]["kind"] == "worker_crashed"
        assert (await client.list_tools()).tools


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_two_of_them_share_a_conversation(mode: str) -> None:
    async with host() as scene, official(scene, mode) as one, official(scene, mode) as other:
        thread = thread_of(await call(one, "hello"))
        results = await asyncio.gather(*(call(client, "talk", thread) for client in (one, other, one, other)))
        assert {thread_of(result) for result in results} == {thread}
        assert not any(result.is_error for result in results)


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_it_gives_up_a_call(mode: str) -> None:
    async with host() as scene, official(scene, mode) as client:
        thread = thread_of(await call(client, "hello"))
        giving_up = asyncio.create_task(call(client, "stall", thread))
        await until(lambda: scene.conversation(thread).running)
        giving_up.cancel()
        await asyncio.wait([giving_up])
        await until(lambda: not scene.conversation(thread).running)
        assert not (await call(client, "talk", thread)).is_error


@on_loop
async def test_it_continues_a_stream_that_was_interrupted() -> None:
    async with host(HttpTable(stream_lifetime_s=0.3)) as scene, official(scene, "legacy") as client:
        thread = await (await scene.client("2025-06-18")).begin()  # whose streams are not interrupted
        calling = asyncio.create_task(call(client, "stall", thread))
        await until(lambda: scene.conversation(thread).running)
        session, _ = scene.sessions
        await until(lambda: session.streams.open_requests == 1 and session.streams.readers == 0)
        interrupted = await client.call_tool("codex-interrupt", {"threadId": thread})
        assert isinstance(interrupted, CallToolResult)
        result = await calling
        assert result.is_error
        assert thread_of(result) == thread


@on_loop
async def test_its_session_ends_with_it() -> None:
    async with host() as scene:
        async with official(scene, "legacy"):
            assert len(scene.sessions) == 1
        await until(lambda: not scene.sessions)


@pytest.mark.parametrize("mode", MODES)
@on_loop
async def test_it_is_refused_with_a_wrong_token(mode: str) -> None:
    async with host() as scene:
        with pytest.raises((MCPError, ExceptionGroup)):
            async with official(scene, mode, token="wrong"):
                pass
        assert not scene.sessions
