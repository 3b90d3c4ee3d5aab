"""The HTTP client against a real server on loopback: whole answers, and the way through a proxy."""

import asyncio
import json
from contextlib import aclosing

import aiohttp
import pytest
from aiohttp import web

from greenroom.workers.model.client import LARGE_BODY
from greenroom.workers.model.responses import Completed, TextDelta
from greenroom.workers.model.transport.session import new_session
from tests.workers.model.exchange import BODY, DONE, HELLO, ID, WHOLE, holds, run, says, serving, talking


def test_answer_is_streamed_and_the_request_is_complete() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO + DONE)) as server, talking(server.url + "?v=1") as talk:
            assert await talk.ask() == WHOLE
            (request,) = server.requests
            assert server.bodies == [BODY]
            assert request.query_string == "v=1"
            assert request.headers["Authorization"] == "Bearer sk-0123456789abcdef"
            assert request.headers["session_id"] == request.headers["thread-id"] == ID
            assert request.headers["Content-Length"] == str(len(BODY))

    run(scenario())


def test_answer_cut_into_single_bytes_is_the_same() -> None:
    async def scenario() -> None:
        pieces = [bytes([byte]) for byte in HELLO + DONE]
        async with serving(says(*pieces)) as server, talking(server.url) as talk:
            assert await talk.ask() == WHOLE

    run(scenario())


def test_completion_is_not_held_up_by_an_open_body() -> None:
    async def scenario() -> None:
        async with serving(holds(HELLO, DONE)) as server, talking(server.url) as talk:
            assert await talk.ask() == WHOLE

    run(scenario())


def test_connection_serves_the_next_turn() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO, DONE)) as server, talking(server.url) as talk:
            for _ in range(3):
                assert await talk.ask() == WHOLE
                await asyncio.gather(*talk.client._drains)
            assert len(set(server.connections)) == 1

    run(scenario())


def test_connection_serves_the_next_turn_although_the_consumer_left_at_once() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO + DONE)) as server, talking(server.url) as talk:
            for _ in range(2):
                async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                    async for batch in batches:
                        if isinstance(batch[-1], Completed):
                            break
                await asyncio.gather(*talk.client._drains)
            assert len(set(server.connections)) == 1

    run(scenario())


def test_connection_that_died_while_idle_is_replaced_at_once() -> None:
    async def closes(request: web.Request) -> web.StreamResponse:
        response = await says(HELLO, DONE)(request)
        response.force_close()
        return response

    async def scenario() -> None:
        async with serving(closes) as server, talking(server.url) as talk:
            for _ in range(2):
                assert await talk.ask() == WHOLE
                await asyncio.gather(*talk.client._drains)
            assert len(set(server.connections)) == 2
            assert talk.naps == []

    run(scenario())


def test_large_body_arrives_whole() -> None:
    async def scenario() -> None:
        body = b'{"input":"' + b"x" * (5 * LARGE_BODY + 17) + b'"}'
        async with serving(says(DONE)) as server, talking(server.url) as talk:
            await talk.ask(body)
            assert server.bodies == [body]
            assert server.requests[0].headers["Content-Length"] == str(len(body))

    run(scenario())


def test_session_is_made_only_when_needed() -> None:
    async def scenario() -> None:
        made: list[aiohttp.ClientSession] = []

        def factory() -> aiohttp.ClientSession:
            made.append(new_session())
            return made[-1]

        async with serving(says(DONE)) as server, talking(server.url, session_factory=factory) as talk:
            assert made == []
            await talk.ask()
            await talk.ask()
            assert len(made) == 1
        assert made[0].closed

    run(scenario())


def test_server_is_held_up_by_a_consumer_that_stops() -> None:
    total = 96

    async def scenario() -> None:
        chunk = HELLO * 4096
        sent = 0
        blocked = asyncio.Event()

        async def floods(request: web.Request) -> web.StreamResponse:
            nonlocal sent
            response = await says()(request)
            for _ in range(total):
                write = asyncio.ensure_future(response.write(chunk))
                if not (await asyncio.wait({write}, timeout=0.3))[0]:
                    blocked.set()
                await write
                sent += 1
            await response.write(DONE)
            return response

        async with serving(floods) as server, talking(server.url) as talk:
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                events = await anext(batches)
                await blocked.wait()
                assert sent < total
                events += [event async for batch in batches for event in batch]
            texts = [json.loads(event.raw) for event in events if isinstance(event, TextDelta)]
            assert "".join(texts) == "Hello" * 4096 * total
            assert isinstance(events[-1], Completed)

    run(scenario())


def test_request_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(says(HELLO + DONE)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://ada:pw@"))
            async with talking("http://models.invalid/v1/responses") as talk:
                assert await talk.ask() == WHOLE
            assert proxy.requests[0].headers["Host"] == "models.invalid"
            assert proxy.requests[0].headers["Proxy-Authorization"] == "Basic YWRhOnB3"

    run(scenario())
