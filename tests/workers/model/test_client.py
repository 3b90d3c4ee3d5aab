"""The HTTP client against a real server on loopback: whole answers, broken ones, refusals, cancelled turns."""

import asyncio
import errno
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ConnectionKey

from protocol.errors import ModelError, UnauthorizedError, UsageLimitError
from protocol.ids import ConversationId
from workers.model.client import LARGE_BODY, ModelClient, new_session
from workers.model.credentials import Bearer, CredentialsDelayedError
from workers.model.endpoint import Endpoint
from workers.model.responses import Completed, ModelEvent, TextDelta
from workers.model.retry import Retry

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
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> AsyncIterator[Talk]:
    endpoint = Endpoint(
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
        endpoint, credentials, ID, session_factory=session_factory, sleep=sleep or nap, random=lambda: 0.5
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


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# Whole answers


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
                events = len(await anext(batches))
                await blocked.wait()
                assert sent < total
                events += sum([len(batch) async for batch in batches])
            assert events == total * 4096 + 1

    run(scenario())


# Broken answers


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (says(HELLO), "stream disconnected before completion: stream closed before response.completed"),
        (breaks_after(HELLO), "stream disconnected before completion: stream closed before response.completed"),
        (
            says(HELLO, b'data: {"type":"error","message":"out of memory"}\n\n'),
            "stream disconnected before completion: out of memory",
        ),
        (
            holds(b'data: {"type":"response.failed","response":{"error":{"message":"odd"}}}\n\n'),
            "stream disconnected before completion: odd",
        ),
        (
            holds(b'data: {"type":"response.incomplete"}\n\n'),
            "stream disconnected before completion: Incomplete response returned, reason: unknown",
        ),
    ],
)
def test_broken_stream_starts_over_and_says_so(broken: Answer, text: str) -> None:
    async def scenario() -> None:
        async with serving(broken, says(HELLO + DONE)) as server, talking(server.url) as talk:
            assert (await talk.ask())[-2:] == WHOLE
            assert [retry.text for retry in talk.retries] == [f"stream error: {text}; retrying 1/5 in 200ms…"]
            assert talk.naps == [0.2]

    run(scenario())


def test_stream_that_stays_broken_fails_after_all_retries() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO)) as server, talking(server.url, stream_max_retries=2) as talk:
            with pytest.raises(ModelError, match="stream closed before response"):
                await talk.ask()
            assert len(server.requests) == 3

    run(scenario())


def test_events_before_a_failure_are_still_yielded() -> None:
    failed = b'data: {"type":"response.failed","response":{"error":{"code":"invalid_prompt","message":"no"}}}\n\n'

    async def scenario() -> None:
        async with serving(says(HELLO + failed)) as server, talking(server.url) as talk:
            batches = talk.client.stream(BODY, talk.retries.append)
            assert await anext(batches) == WHOLE[:1]
            with pytest.raises(ModelError, match=r"^no$"):
                await anext(batches)

    run(scenario())


@pytest.mark.parametrize("answer", [silent, holds(HELLO)])
def test_silent_server_is_given_up(answer: Answer) -> None:
    async def scenario() -> None:
        async with serving(answer, says(HELLO + DONE)) as server, talking(server.url, idle_timeout=0.1) as talk:
            assert (await talk.ask())[-2:] == WHOLE
            assert "idle timeout waiting for SSE; retrying 1/5" in talk.retries[0].text
            await server.dropped.wait()

    run(scenario())


def test_slow_consumer_is_no_silent_server() -> None:
    async def scenario() -> None:
        async with serving(says(HELLO, DONE)) as server, talking(server.url, idle_timeout=0.1) as talk:
            async with aclosing(talk.client.stream(BODY, talk.retries.append)) as batches:
                events = []
                async for batch in batches:
                    await asyncio.sleep(0.3)
                    events += batch
            assert events == WHOLE
            assert talk.retries == []

    run(scenario())


def test_event_that_is_too_large_is_a_broken_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.model.sse.SseDecoder.__init__.__defaults__", (64,))

    async def scenario() -> None:
        async with serving(holds(b"data: " + b"x" * 100)) as server, talking(server.url, stream_max_retries=0) as talk:
            with pytest.raises(ModelError, match="larger than 64 bytes"):
                await talk.ask()

    run(scenario())


# No answer


def test_server_that_hangs_up_is_asked_again_silently() -> None:
    async def scenario() -> None:
        async with serving(hangs_up, hangs_up, says(HELLO + DONE)) as server, talking(server.url) as talk:
            assert await talk.ask() == WHOLE
            assert talk.naps == [0.2, 0.4]
            assert talk.retries == []

    run(scenario())


def test_refused_connection_is_not_retried_for_ever() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1/responses"

        async def scenario() -> None:
            async with talking(url, request_max_retries=1, stream_max_retries=2) as talk:
                with pytest.raises(ModelError, match=r"^Connection failed: cannot connect to 127\.0\.0\.1:\d+: .+$"):
                    await talk.ask()
                assert len(talk.naps) == 5
                assert len(talk.retries) == 2

        run(scenario())


def test_answer_that_is_no_http_is_a_failed_connection() -> None:
    async def scenario() -> None:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            writer.close()

        async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with talking(f"http://127.0.0.1:{port}", request_max_retries=0, stream_max_retries=0) as talk:
                with pytest.raises(ModelError, match=r"^Connection failed: "):
                    await talk.ask()

    run(scenario())


@pytest.mark.parametrize("url", ["ftp://a.example/", "nonsense", "http://a.example:x/", None])
def test_request_that_cannot_be_made_fails_at_once_without_showing_values(url: str | None) -> None:
    async def scenario() -> None:
        async with serving(says(DONE)) as server, talking(url or server.url, headers={"x": "a\nsecret"}) as talk:
            with pytest.raises(ModelError, match="is not valid") as failure:
                await talk.ask()
            assert "secret" not in str(failure.value)
            assert talk.naps == []

    run(scenario())


def test_body_that_cannot_be_written_is_a_failed_connection_that_shows_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "http://a.example/?key=secret"

    async def post(*_: object, **__: object) -> NoReturn:
        raise aiohttp.ClientOSError(errno.EPIPE, f"Can not write request body for {url}")

    monkeypatch.setattr(aiohttp.ClientSession, "post", post)

    async def scenario() -> None:
        async with talking(url, request_max_retries=0, stream_max_retries=0) as talk:
            with pytest.raises(ModelError, match=r"^Connection failed: Broken pipe$"):
                await talk.ask()

    run(scenario())


def test_untrusted_certificate_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def post(*_: object, **__: object) -> NoReturn:
        key = ConnectionKey("a.example", 443, True, True, None, None, None, None)
        raise aiohttp.ClientConnectorCertificateError(key, ssl.CertificateError("self-signed"))

    monkeypatch.setattr(aiohttp.ClientSession, "post", post)

    async def scenario() -> None:
        async with talking("https://a.example/") as talk:
            with pytest.raises(ModelError, match=r"the certificate of a\.example:443 is not trusted: .*self-signed"):
                await talk.ask()
            assert talk.naps == []

    run(scenario())


# Refusals


def test_permanent_refusal_is_not_repeated() -> None:
    async def scenario() -> None:
        async with serving(refuses(400, message="bad request")) as server, talking(server.url) as talk:
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert str(failure.value) == f"unexpected status 400 Bad Request: bad request, url: {server.url}"
            assert len(server.requests) == 1

    run(scenario())


def test_busy_server_is_asked_again_when_it_says() -> None:
    async def scenario() -> None:
        busy = refuses(503, {"Retry-After": "3"})
        async with serving(busy, says(HELLO + DONE)) as server, talking(server.url) as talk:
            assert await talk.ask() == WHOLE
            assert talk.naps == [3.0]

    run(scenario())


def test_requests_times_streams_are_tried_at_a_failing_server() -> None:
    async def scenario() -> None:
        async with (
            serving(refuses(500)) as server,
            talking(server.url, request_max_retries=1, stream_max_retries=1) as talk,
        ):
            with pytest.raises(ModelError, match="high demand"):
                await talk.ask()
            assert len(server.requests) == 4
            assert len(talk.retries) == 1

    run(scenario())


def test_redirect_is_not_followed() -> None:
    async def scenario() -> None:
        async with serving(refuses(307, {"Location": "/v1/responses"})) as server, talking(server.url) as talk:
            with pytest.raises(ModelError, match="unexpected status 307 Temporary Redirect"):
                await talk.ask()
            assert len(server.requests) == 1

    run(scenario())


def test_used_up_account_is_told_at_once() -> None:
    async def scenario() -> None:
        async with serving(refuses(429, type="usage_limit_reached")) as server, talking(server.url) as talk:
            with pytest.raises(UsageLimitError):
                await talk.ask()
            assert len(server.requests) == 1

    run(scenario())


def test_refusal_that_repeats_secrets_does_not_show_them() -> None:
    async def scenario() -> None:
        bearer = Bearer("odd_looking_token")
        answer = refuses(400, message="you sent odd_looking_token, header-secret-1 and query-secret-1")
        async with (
            serving(answer) as server,
            talking(server.url + "?k=query-secret-1", Login([bearer]), headers={"x-key": "header-secret-1"}) as talk,
        ):
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert "you sent <redacted>, <redacted> and <redacted>, url: " in str(failure.value)
            assert "secret" not in str(failure.value)

    run(scenario())


def test_endless_refusal_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async def scenario() -> None:
        async with serving(endless) as server, talking(server.url) as talk:
            with pytest.raises(ModelError) as failure:
                await talk.ask()
            assert len(str(failure.value)) < 700
            await server.dropped.wait()

    run(scenario())


# Credentials


def test_refused_key_fails_at_once_and_nobody_is_asked_for_another() -> None:
    async def scenario() -> None:
        login = Login([KEY, SECOND_LOGIN])
        async with serving(refuses(401, message="wrong key")) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError, match="401 Unauthorized: wrong key"):
                await talk.ask()
            assert len(server.requests) == 1
            assert login.refused == []

    run(scenario())


def test_refused_login_is_renewed_and_the_request_repeated_at_once() -> None:
    async def scenario() -> None:
        login = Login([LOGIN, SECOND_LOGIN])
        async with serving(refuses(401), says(HELLO + DONE)) as server, talking(server.url, login) as talk:
            assert await talk.ask() == WHOLE
            assert [request.headers["Authorization"] for request in server.requests] == [
                "Bearer first-access-token",
                "Bearer second-access-token",
            ]
            assert login.refused == [LOGIN]
            assert (talk.naps, talk.retries) == ([], [])

    run(scenario())


def test_login_is_renewed_at_most_twice() -> None:
    async def scenario() -> None:
        login = Login([LOGIN, SECOND_LOGIN, LOGIN, SECOND_LOGIN, LOGIN])
        async with serving(refuses(401)) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError):
                await talk.ask()
            assert len(server.requests) == 3

    run(scenario())


def test_each_attempt_asks_for_its_bearer() -> None:
    async def scenario() -> None:
        login = Login([KEY])
        async with serving(refuses(503), refuses(503), says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
            assert login.asked == 3

    run(scenario())


def test_credentials_that_come_late_are_waited_for() -> None:
    async def scenario() -> None:
        login = Login([KEY], delays=[CredentialsDelayedError("auth broker unavailable", 1.5)])
        async with serving(says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
            assert talk.naps == [1.5]
            assert talk.retries[0].text == "stream error: auth broker unavailable; retrying 1/5 in 1.5s…"

    run(scenario())


def test_the_time_of_every_answer_is_passed_on() -> None:
    """Of refusals too: a clock that is off may be why a token is refused."""

    async def scenario() -> None:
        login = Login([LOGIN, replace(LOGIN, token="second-access-token")])
        async with serving(refuses(401), says(DONE)) as server, talking(server.url, login) as talk:
            await talk.ask()
        assert len(login.dates) == 2
        for date in login.dates:
            assert date is not None
            assert abs(time.time() - parsedate_to_datetime(date).timestamp()) < 30

    run(scenario())


def test_missing_credential_fails_at_once() -> None:
    async def scenario() -> None:
        login = Login([KEY], delays=[UnauthorizedError("Not logged in")])
        async with serving(says(DONE)) as server, talking(server.url, login) as talk:
            with pytest.raises(UnauthorizedError, match="Not logged in"):
                await talk.ask()
            assert server.requests == []

    run(scenario())


def test_renewal_that_comes_late_is_waited_for_once() -> None:
    class Overtaxed(Login):
        async def rejected(self, bearer: Bearer, status: int) -> bool:
            raise CredentialsDelayedError("issuer unavailable", 2.0)

    async def scenario() -> None:
        async with serving(refuses(401)) as server, talking(server.url, Overtaxed([LOGIN])) as talk:
            with pytest.raises(ModelError, match="issuer unavailable"):
                await talk.ask()
            assert talk.naps == [2.0]
            assert len(server.requests) == 2

    run(scenario())


# Proxies


def test_request_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(says(HELLO + DONE)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://ada:pw@"))
            async with talking("http://models.invalid/v1/responses") as talk:
                assert await talk.ask() == WHOLE
            assert proxy.requests[0].headers["Host"] == "models.invalid"
            assert proxy.requests[0].headers["Proxy-Authorization"] == "Basic YWRhOnB3"

    run(scenario())


# Cancellation


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
