"""Conversations of several workers under one rate limit wait in turn at a real broker, and none fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from greenroom.config.tables.providers import ModelProvider
from greenroom.protocol.errors import ModelError
from greenroom.workers.model.client import ModelClient
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.model.credentials.channel import CredentialsChannel
from greenroom.workers.model.transport.endpoint import ModelEndpoint
from tests.broker.stages import Stage, play
from tests.workers.model.exchange import BODY, DONE, HELLO, ID, ModelServer, Talk, says, serving

pytestmark = pytest.mark.processes

RATE = 10.0


class Limited:
    """Allows `RATE` requests a second: a bucket of `RATE / 2` that fills evenly."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self._level, self._at = RATE / 2, time.monotonic()
        self._answer = says(HELLO + DONE)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        self._level = min(RATE / 2, self._level + (now - self._at) * RATE)
        self._at = now
        if self._level < 1:
            self.refused += 1
            milliseconds = (1 - self._level) / RATE * 1000 + 1
            return web.Response(status=429, headers={"retry-after-ms": f"{milliseconds:.0f}"})
        self._level -= 1
        self.accepted += 1
        return await self._answer(request)


@asynccontextmanager
async def talk(
    server: ModelServer, channel: CredentialsChannel, *, wait: float = 30.0, key: str = "sk-limited-1"
) -> AsyncIterator[Talk]:
    async def nothing() -> None:
        return

    provider = ModelProvider(name="p", experimental_bearer_token=key)
    credentials = ProviderCredentials(provider, lambda: channel)
    channel.start = nothing  # type: ignore[method-assign,assignment] # the stage has started it
    endpoint = ModelEndpoint(
        url=server.url,
        originator="test",
        user_agent="test/1",
        request_max_retries=0,
        stream_max_retries=0,
        rate_limit_wait=wait,
    )
    client = ModelClient(endpoint, credentials, ID, limits=credentials)
    try:
        yield Talk(client)
    finally:
        await client.aclose()


def test_all_are_served_and_few_are_refused(tmp_path: Path) -> None:
    """How nearly they use up what the server allows, the simulation says (`tests/broker/test_pace.py`)."""
    workers, each = 6, 5
    limited = Limited()

    async def scene(stage: Stage) -> None:
        channels = await stage.workers(workers)

        async def converse(server: ModelServer, channel: CredentialsChannel) -> None:
            async with talk(server, channel) as one:
                for _ in range(each):
                    await one.ask()

        async with serving(limited) as server:
            await asyncio.gather(*(converse(server, channel) for channel in channels))

    play(tmp_path, scene)
    assert limited.accepted == workers * each
    # Of requests that do not wait in turn several are refused for each that is let in.
    assert limited.refused < limited.accepted


def test_others_learn_of_a_limit_before_they_meet_it(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        first, second = await stage.channel("a", listens=True), await stage.channel("b", listens=True)
        first.report_limited("k", 1, 0, 0.3)
        async with asyncio.timeout(10):
            while "k" not in second.limited:
                await asyncio.sleep(0)
        assert not (await second.get_slot("k", 1, 0.0)).granted
        await stage.link.measure()
        (pace,) = stage.link.paces
        assert (pace.key, pace.waiting, pace.refusals, pace.hold <= 0.3) == ("k", 1, 1, True)
        third = await stage.channel("c")
        assert "k" in third.limited
        assert (await second.get_slot("k", 1, 5.0)).granted
        assert not (await first.get_slot("other", 2, 0.0)).is_limited

    play(tmp_path, scene)


def test_a_dead_broker_stops_nobody(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        channel = await stage.channel("a")
        refused = iter([True, True, False])
        answer = says(HELLO + DONE)

        async def handle(request: web.Request) -> web.StreamResponse:
            if next(refused):
                return web.Response(status=429, headers={"retry-after-ms": "60"})
            return await answer(request)

        async with serving(handle) as server, talk(server, channel) as one:
            await asyncio.to_thread(stage.house.kill)
            assert await one.ask()

    play(tmp_path, scene)


def test_a_wait_is_told_bounded_and_ended_at_once(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        channel = await stage.channel("a")

        async def refuse(_: web.Request) -> web.StreamResponse:
            return web.Response(status=429, headers={"retry-after": "20"})

        async with serving(refuse) as server:
            async with talk(server, channel, wait=5.0) as one:
                with pytest.raises(ModelError, match="429 Too Many Requests"):
                    await one.ask(BODY)
            async with talk(server, channel) as one:
                asking = asyncio.create_task(one.ask())
                async with asyncio.timeout(10):
                    while not one.retries:
                        await asyncio.sleep(0)
                assert "for the rate limit" in one.retries[0].text
                began = time.monotonic()
                asking.cancel()
                await asyncio.wait({asking})
                assert asking.cancelled()
                assert time.monotonic() - began < 10.0, "half of what it was to wait"

    play(tmp_path, scene)
