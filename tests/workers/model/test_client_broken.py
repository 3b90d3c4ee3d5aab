"""The HTTP client where an answer breaks off, or none comes."""

import asyncio
import errno
import socket
import ssl
from contextlib import aclosing
from typing import NoReturn

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from greenroom.protocol.errors import ModelError
from greenroom.workers.model.transport.body import AnswerBody
from tests.workers.model.exchange import (
    BODY,
    DONE,
    HELLO,
    WHOLE,
    Answer,
    breaks_after,
    hangs_up,
    holds,
    run,
    says,
    serving,
    silent,
    talking,
)


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


def test_event_that_is_too_large_is_a_broken_stream() -> None:
    async def scenario() -> None:
        async with (
            serving(holds(b"data: " + b"x" * 100)) as server,
            talking(server.url, stream_max_retries=0, new_body=lambda: AnswerBody(64)) as talk,
        ):
            with pytest.raises(ModelError, match="larger than 64 bytes"):
                await talk.ask()

    run(scenario())


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
