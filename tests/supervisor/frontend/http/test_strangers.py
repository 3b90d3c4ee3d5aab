"""Strangers are turned away: other users, web pages, and what is no HTTP."""

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from greenroom.config.tables.http import HttpTable
from tests.support.http_host import BOTH, NEWEST, TOKEN, Host, host, request
from tests.support.loop import on_loop

PARAMS = {"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
INITIALIZE = json.dumps(request(1, "initialize", PARAMS)).encode()


async def say(scene: Host, data: bytes) -> bytes:
    """Send bytes on a connection of its own, and return all that comes until it is closed."""
    reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def head(scene: Host, *fields: str, method: str = "POST", path: str = "/mcp") -> bytes:
    """Return the head of a request that would be served."""
    usual = (
        f"{method} {path} HTTP/1.1",
        f"Host: {scene.address.text}",
        f"Authorization: Bearer {TOKEN}",
        f"Accept: {BOTH}",
        "Content-Type: application/json",
        *fields,
    )
    return "\r\n".join(usual).encode() + b"\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the answers on a connection."""
    return [int(status) for status in re.findall(rb"(?m)^HTTP/1\.[01] (\d{3}) ", answer)]


@pytest.mark.parametrize(
    "bearer",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        "Bearer \udcff\udcfe",
    ],
)
@on_loop
async def test_without_the_right_token_nothing_is_served_and_nothing_told(bearer: str | None) -> None:
    async with host() as scene:
        fields = [] if bearer is None else [f"Authorization: {bearer}"]
        for method, path in (("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/"), ("PUT", "/x")):
            lines = [f"{method} {path} HTTP/1.1", f"Host: {scene.address.text}", "Mcp-Session-Id: x", *fields]
            answer = await say(scene, "\r\n".join(lines).encode(errors="surrogateescape") + b"\r\n\r\n")
            assert statuses(answer) == [401]
            assert b'WWW-Authenticate: Bearer realm="greenroom"' in answer
            assert TOKEN.encode() not in answer


@on_loop
async def test_the_scheme_is_read_as_any_case_and_the_token_in_its_own() -> None:
    async with host() as scene:
        client = await scene.client()
        assert await client.status("POST", request(1, "ping"), Authorization=f"bEARER  {TOKEN}") == 200
        assert await client.status("POST", request(1, "ping"), Authorization=f"Bearer {TOKEN.upper()}") == 401


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "0", "127.1", ""])
@on_loop
async def test_a_name_that_was_made_to_lead_here_is_refused(name: str) -> None:
    async with host() as scene:
        client = await scene.client()
        assert await client.status("POST", request(1, "ping"), Host=f"{name}:{scene.address.port}") == 403


@on_loop
async def test_a_request_that_names_no_server_is_refused() -> None:
    async with host() as scene:
        ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        fields = (f"Content-Length: {len(ping)}", "Connection: close", "MCP-Protocol-Version: 2026-07-28")
        named = head(scene, *fields).replace(b"HTTP/1.1", b"HTTP/1.0")
        nameless = b"\r\n".join(line for line in named.split(b"\r\n") if not line.startswith(b"Host:"))
        assert statuses(await say(scene, named + ping)) != [403]
        assert statuses(await say(scene, nameless + ping)) == [403]


@on_loop
async def test_the_names_of_this_machine_are_taken_with_the_right_port() -> None:
    async with host(HttpTable(hosts=("mcp.example.org",))) as scene:
        client = await scene.client()
        port = scene.address.port
        for name in (f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}", "mcp.example.org"):
            assert await client.status("POST", request(1, "ping"), Host=name) == 200, name
        for name in (f"localhost:{port + 1}", "localhost", "mcp.example.org:1", f"[::1:{port}", f"localhost:{port}x"):
            assert await client.status("POST", request(1, "ping"), Host=name) == 403, name


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://localhost", "file://", "http://127.0.0.1", "*"]
)
@on_loop
async def test_a_web_page_is_turned_away_even_with_the_token(origin: str) -> None:
    async with host() as scene:
        client = await scene.client()
        for method in ("POST", "GET", "DELETE", "OPTIONS"):
            response = await client.send(method, request(1, "ping") if method == "POST" else None, Origin=origin)
            assert response.status == 403
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert (await client.ask(1, "ping"))["result"] == {}


@on_loop
async def test_an_origin_is_taken_where_the_user_allows_it() -> None:
    async with host(HttpTable(origins=("https://ide.example.org",))) as scene:
        client = await scene.client()
        for site in (None, "cross-site"):  # what browsers tell of a page that is allowed
            allowed = {"Origin": "https://ide.example.org", "Sec_Fetch_Site": site}
            assert await client.status("POST", request(1, "ping"), **allowed) == 200
        assert await client.status("POST", request(1, "ping"), Origin=f"http://{scene.address.text}") == 200
        assert await client.status("POST", request(1, "ping"), Origin="https://ide.example.org.evil") == 403


@on_loop
async def test_a_preflight_is_refused() -> None:
    async with host() as scene:
        client = scene.bare()
        asked: dict[str, Any] = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        response = await client.send("OPTIONS", None, Authorization=None, Origin="http://evil.example", **asked)
        assert response.status == 403
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert await client.status("OPTIONS") == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain;charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
@on_loop
async def test_a_post_that_a_page_may_send_unasked_is_refused_whatever_else_it_has(kind: str | None) -> None:
    async with host() as scene:
        fields = [f"Content-Type: {kind}"] if kind else []
        lines = [
            "POST /mcp HTTP/1.1",
            f"Host: {scene.address.text}",
            f"Authorization: Bearer {TOKEN}",
            f"Accept: {BOTH}",
        ]
        lines += [*fields, f"Content-Length: {len(INITIALIZE)}"]
        answer = await say(scene, "\r\n".join(lines).encode() + b"\r\n\r\n" + INITIALIZE)
        assert statuses(answer) == [415]
        assert not scene.sessions


@on_loop
async def test_a_page_that_sends_no_origin_is_known_by_what_its_browser_tells() -> None:
    async with host() as scene:
        client = await scene.client()
        for site, status in (("cross-site", 403), ("same-site", 403), ("none", 409), ("same-origin", 409)):
            async with await client.listen():
                response = await client.send("GET", Sec_Fetch_Site=site, Accept="text/event-stream")
                assert response.status == status
            await asyncio.sleep(0)
            client = await scene.client()


SMUGGLED: dict[str, tuple[list[str], bytes]] = {
    "two lengths": (["Content-Length: 5", f"Content-Length: {len(INITIALIZE)}"], INITIALIZE),
    "two equal lengths": ([f"Content-Length: {len(INITIALIZE)}"] * 2, INITIALIZE),
    "a list of lengths": ([f"Content-Length: {len(INITIALIZE)}, {len(INITIALIZE)}"], INITIALIZE),
    "chunks and a length": (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n"),
    "a length and chunks": (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "a signed length": (["Content-Length: +5"], b"hello"),
    "a length in hex": (["Content-Length: 0x5"], b"hello"),
    "no chunk": (["Transfer-Encoding: chunked"], b"zz\r\nhello\r\n0\r\n\r\n"),
    "a chunk that is too short": (["Transfer-Encoding: chunked"], b"2\r\nhello\r\n0\r\n\r\n"),
    "a signed chunk": (["Transfer-Encoding: chunked"], b"-5\r\nhello\r\n0\r\n\r\n"),
    "another coding": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    "chunked twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "a folded field": (["X-A: b\r\n c: d", f"Content-Length: {len(INITIALIZE)}"], INITIALIZE),
    "a blank before the colon": ([f"Content-Length : {len(INITIALIZE)}"], INITIALIZE),
    "a field without a name": ([": x", f"Content-Length: {len(INITIALIZE)}"], INITIALIZE),
    "a null byte": (["X-A: \0", f"Content-Length: {len(INITIALIZE)}"], INITIALIZE),
}


@pytest.mark.parametrize("what", SMUGGLED)
@on_loop
async def test_a_request_whose_end_is_in_doubt_is_refused_and_so_is_what_follows(what: str) -> None:
    fields, body = SMUGGLED[what]
    async with host() as scene:
        follows = head(scene, f"Content-Length: {len(INITIALIZE)}") + INITIALIZE
        answer = await say(scene, head(scene, *fields) + body + follows)
        assert statuses(answer)[:1] in ([400], [413], [415]), answer
        assert len(statuses(answer)) == 1, "the connection is closed"
        assert TOKEN.encode() not in answer
        assert not scene.sessions


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"{}\n",
        b"\r\n" * 50 + b"x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
    ids=[
        "TLS",
        "zeros",
        "no path",
        "no version",
        "JSON",
        "blank lines",
        "HTTP/2",
        "many fields",
        "long line",
        "long field",
    ],
)
@on_loop
async def test_rubbish_is_refused_and_harms_nobody(rubbish: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with host() as scene:
        client = await scene.client()
        answer = await say(scene, rubbish)
        assert set(statuses(answer)) <= {400, 403, 414, 431}
        assert (await client.ask(1, "ping"))["result"] == {}
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Type", "Mcp-Session-Id", "MCP-Protocol-Version"])
@on_loop
async def test_a_header_that_is_there_twice_is_refused(name: str) -> None:
    async with host() as scene:
        client = await scene.client()
        values = {**client.headers(), "Host": scene.address.text}
        fields = [f"{key}: {value}" for key, value in values.items()] + [f"{name}: {values[name]}"]
        body = json.dumps(request(1, "ping")).encode()
        lines = ["POST /mcp HTTP/1.1", *fields, f"Content-Length: {len(body)}"]
        assert statuses(await say(scene, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)) == [400]


@on_loop
async def test_neither_log_nor_error_repeats_a_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with host() as scene:
        client = await scene.client()
        await client.status("POST", request(1, "ping"))
        await client.status("POST", request(1, "ping"), Authorization=f"Bearer {TOKEN}wrong")
        broken = f"POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\0\r\n\r\n".encode()
        folded = f"POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {TOKEN}\r\n\r\n".encode()
        for data in (broken, folded, f"{TOKEN}\r\n\r\n".encode()):
            assert TOKEN.encode() not in await say(scene, data)
    assert not [record for record in caplog.records if TOKEN in record.getMessage() + str(record.exc_text)]


@on_loop
async def test_a_body_may_be_so_large_and_take_so_long() -> None:
    async with host(HttpTable(body_mb=1, body_timeout_s=0.2)) as scene:
        client = await scene.client()
        large = b" " * (1024 * 1024) + json.dumps(request(1, "ping")).encode()
        assert await client.status("POST", body=large) == 413
        chunked = head(scene, "Transfer-Encoding: chunked") + b"200000\r\n" + b" " * 0x200000 + b"\r\n0\r\n\r\n"
        assert statuses(await say(scene, chunked)) == [413]
        reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
        writer.write(head(scene, "Content-Length: 1000") + b"{")
        assert statuses(await reader.read()) == [408]
        writer.close()


@on_loop
async def test_a_head_that_does_not_come_closes_its_connection() -> None:
    async with host(HttpTable(header_timeout_s=0.2)) as scene:
        for begun in (b"", b"POST /mcp HTTP/1.1\r\nHost: "):
            reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
            writer.write(begun)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()


@on_loop
async def test_there_is_a_limit_on_connections() -> None:
    async with host(HttpTable(connections=3)) as scene:
        opened = [await asyncio.open_connection(scene.address.host, scene.address.port) for _ in range(3)]
        assert statuses(await _answer_of_last(scene, opened)) == [200]
        reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        for _, writer in opened:
            writer.close()


async def _answer_of_last(scene: Host, opened: list[Any]) -> bytes:
    reader, writer = opened[-1]
    writer.write(head(scene, f"Content-Length: {len(INITIALIZE)}") + INITIALIZE)
    answer: bytes = await reader.read(4096)
    return answer


@on_loop
async def test_a_client_that_waits_for_permission_to_send_its_body_gets_it() -> None:
    async with host() as scene:
        reader, writer = await asyncio.open_connection(scene.address.host, scene.address.port)
        writer.write(head(scene, f"Content-Length: {len(INITIALIZE)}", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(INITIALIZE)
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()


@on_loop
async def test_other_paths_and_methods_are_refused() -> None:
    async with host() as scene:
        for method, path, status in (
            ("GET", "/", 404),
            ("POST", "/mcp/", 404),
            ("PUT", "/mcp", 405),
            ("TRACE", "/mcp", 405),
            ("GET", "/mcp?x=y", 400),
        ):
            answer = await say(scene, head(scene, method=method, path=path))
            assert statuses(answer) == [status], (method, path)
