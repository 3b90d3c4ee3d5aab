"""A model server on loopback that answers as it is told, and a client that talks to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from greenroom.protocol.ids import ConversationId
from greenroom.workers.model.client import ModelClient
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.responses import Completed, ModelEvent, TextDelta
from greenroom.workers.model.transport.body import AnswerBody
from greenroom.workers.model.transport.endpoint import ModelEndpoint
from greenroom.workers.model.transport.session import new_session

T = TypeVar("T")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")
BODY = b'{"model":"m","input":[]}'
KEY = Bearer("sk-0123456789abcdef")
LOGIN = Bearer("first-access-token", account_id="acc-1", mode="chatgpt", renewable=True)
SECOND_LOGIN = replace(LOGIN, token="second-access-token")

HELLO = b'data: {"type":"response.output_text.delta","delta":"Hello"}\n\n'
DONE = b'data: {"type":"response.completed","response":{"id":"r1"}}\n\n'
WHOLE: list[ModelEvent] = [TextDelta(b'"Hello"'), Completed("r1", None, end_turn=True)]


@dataclass
class ModelServer:
    """Gives its answers in turn, the last one for ever, and remembers what it was asked."""

    answers: list[Answer]
    url: str = ""
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.connections.append(request.transport and request.transport.get_extra_info("peername"))
        self.asked.set()
        try:
            self.bodies.append(await request.read())
            return await self.answers[min(len(self.requests), len(self.answers)) - 1](request)
        except (asyncio.CancelledError, ConnectionError):
            self.dropped.set()
            raise


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[ModelServer]:
    server = ModelServer(list(answers))
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/responses", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/responses"
    try:
        yield server
    finally:
        await runner.cleanup()


def says(*chunks: bytes) -> Answer:
    """Stream the chunks and end the body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return answer


def holds(*chunks: bytes) -> Answer:
    """Stream the chunks and then nothing, for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await says(*chunks)(request)
        await asyncio.Event().wait()
        return response

    return answer


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


def breaks_after(*chunks: bytes) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await says(*chunks)(request)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def refuses(status: int, headers: dict[str, str] | None = None, **error: object) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, body=json.dumps({"error": error}))

    return answer


@dataclass
class Login:
    """Credentials that are renewed when they are refused, as long as there are further ones."""

    bearers: list[Bearer]
    asked: int = 0
    refused: list[Bearer] = field(default_factory=list)
    delays: list[Exception] = field(default_factory=list)
    dates: list[str | None] = field(default_factory=list)

    async def bearer(self) -> Bearer:
        self.asked += 1
        if self.delays:
            raise self.delays.pop(0)
        return self.bearers[0]

    def answered(self, bearer: Bearer, date: str | None) -> None:
        self.dates.append(date)

    async def rejected(self, bearer: Bearer, status: int) -> bool:
        self.refused.append(bearer)
        if len(self.bearers) == 1:
            return False
        self.bearers.pop(0)
        return True


@dataclass
class Talk:
    """One client with what it was told and how long it slept."""

    client: ModelClient
    retries: list[Retry] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    async def ask(self, body: bytes = BODY) -> list[ModelEvent]:
        async with aclosing(self.client.stream(body, self.retries.append)) as batches:
            return [event async for batch in batches for event in batch]


@asynccontextmanager
async def talking(
    url: str,
    login: Login | None = None,
    *,
    headers: dict[str, str] | None = None,
    request_max_retries: int = 4,
    stream_max_retries: int = 5,
    idle_timeout: float = 300.0,
    session_factory: Callable[[], aiohttp.ClientSession] = new_session,
    new_body: Callable[[], AnswerBody] = AnswerBody,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> AsyncIterator[Talk]:
    endpoint = ModelEndpoint(
        url=url,
        originator="test",
        user_agent="test/1",
        headers=headers or {},
        request_max_retries=request_max_retries,
        stream_max_retries=stream_max_retries,
        idle_timeout=idle_timeout,
    )
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    credentials = login or Login([KEY])
    client = ModelClient(
        endpoint,
        credentials,
        ID,
        session_factory=session_factory,
        new_body=new_body,
        sleep=sleep or nap,
        random=lambda: 0.5,
    )
    try:
        yield Talk(client, naps=naps)
    finally:
        await client.aclose()


def run(coroutine: Coroutine[object, object, T]) -> T:
    async def within_time() -> T:
        async with asyncio.timeout(30):
            return await coroutine

    return asyncio.run(within_time())
