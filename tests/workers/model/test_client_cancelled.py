"""The HTTP client when its turn is cancelled, or it closes."""

import asyncio
import socket
from collections.abc import Awaitable
from contextlib import aclosing, suppress

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from greenroom.workers.model.client import LARGE_BODY
from greenroom.workers.model.credentials.credential import Bearer
from tests.workers.model.exchange import (
    BODY,
    DONE,
    HELLO,
    KEY,
    WHOLE,
    Answer,
    Login,
    Talk,
    holds,
    run,
    says,
    serving,
    silent,
    talking,
)


async def abort(talk: Talk, moment: Awaitable[object], body: bytes = BODY) -> None:
    """Start a turn and cancel it at `moment`."""
    turn = asyncio.create_task(talk.ask(body))
    await moment
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn


@pytest.mark.parametrize("answer", [silent, holds(), holds(HELLO), holds(b"data: half")])
def test_cancelled_turn_drops_its_connection(answer: Answer) -> None:
    async def scenario() -> None:
        async with serving(answer, says(HELLO + DONE)) as server, talking(server.url) as talk:
            await abort(talk, server.asked.wait())
            await server.dropped.wait()
            assert await talk.ask() == WHOLE
            assert len(set(server.connections)) == 2

    run(scenario())


def test_turn_can_be_cancelled_between_two_deltas() -> None:
    async def scenario() -> None:
        async with serving(holds(HELLO)) as server, talking(server.url) as talk:
            first = asyncio.Event()

            async def turn() -> None:
                async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                    async for _ in batches:
                        first.set()

            task = asyncio.create_task(turn())
            await first.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            await server.dropped.wait()

    run(scenario())


def test_consumer_that_leaves_early_drops_the_connection() -> None:
    async def scenario() -> None:
        async with serving(holds(HELLO)) as server, talking(server.url) as talk:
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                await anext(batches)
            await server.dropped.wait()

    run(scenario())


def test_turn_can_be_cancelled_while_its_body_is_sent() -> None:
    async def scenario() -> None:
        accepted = asyncio.Event()
        gone = asyncio.Event()

        async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await gone.wait()
            writer.close()

        async with await asyncio.start_server(reads_nothing, "127.0.0.1", 0, limit=1024) as server:
            port = server.sockets[0].getsockname()[1]
            async with talking(f"http://127.0.0.1:{port}/") as talk:
                await abort(talk, accepted.wait(), body=b"x" * 64 * LARGE_BODY)
            gone.set()

    run(scenario())


def test_turn_can_be_cancelled_while_it_connects() -> None:
    class Stuck(AbstractResolver):
        def __init__(self) -> None:
            self.asked = asyncio.Event()

        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
            self.asked.set()
            await asyncio.Event().wait()
            return []

        async def close(self) -> None:
            pass

    async def scenario() -> None:
        resolver = Stuck()

        def factory() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver))

        async with talking("http://models.invalid/", session_factory=factory) as talk:
            await abort(talk, resolver.asked.wait())

    run(scenario())


def test_turn_can_be_cancelled_while_it_waits_to_try_again() -> None:
    async def scenario() -> None:
        asleep = asyncio.Event()

        async def sleep(_: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        async with serving(says(HELLO)) as server, talking(server.url, sleep=sleep) as talk:
            await abort(talk, asleep.wait())
            assert len(server.requests) == 1

    run(scenario())


def test_turn_can_be_cancelled_while_it_waits_for_its_bearer() -> None:
    class Stuck(Login):
        waiting = asyncio.Event()

        async def bearer(self) -> Bearer:
            self.waiting.set()
            await asyncio.Event().wait()
            raise AssertionError

    async def scenario() -> None:
        login = Stuck([KEY])
        async with serving(says(DONE)) as server, talking(server.url, login) as talk:
            await abort(talk, login.waiting.wait())
            assert server.requests == []

    run(scenario())


def test_nothing_is_left_when_the_client_closes() -> None:
    async def scenario() -> None:
        async with serving(holds(HELLO, DONE)) as server:
            async with talking(server.url) as talk:
                assert await talk.ask() == WHOLE
                assert len(talk.client._drains) == 1
            assert talk.client._drains == set()
            await server.dropped.wait()

    run(scenario())
