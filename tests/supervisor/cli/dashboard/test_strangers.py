"""Only its user reads the dashboard, in a browser that was let in; pages of other origins neither read nor steer it."""

import asyncio
import itertools
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import pytest

from greenroom.protocol.display import clean
from greenroom.supervisor.cli.dashboard import server as module
from greenroom.supervisor.cli.dashboard.access import MOST_SESSIONS
from greenroom.supervisor.cli.dashboard.assets import load_assets
from greenroom.supervisor.cli.dashboard.orders import ORDERS
from tests.supervisor.cli.dashboard import scenes
from tests.supervisor.cli.dashboard.served import Dashboard, dashboard
from tests.support.loop import until

Scene = Callable[[Dashboard], Awaitable[None]]
PATHS = ("/", "/app.js", "/style.css", "/events", "/transcript?instance=1&conversation=c", "/orders", "/nothing")
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def play(scene: Scene, *, control: bool = False, logged_in: bool = True) -> None:
    async def run() -> None:
        async with dashboard(scenes.one(), control=control) as served:
            if logged_in:
                await served.log_in()
            await scene(served)

    asyncio.run(run())


def test_the_address_is_good_once_and_the_page_has_nothing_of_it() -> None:
    async def scene(served: Dashboard) -> None:
        path = served.server.new_address().removeprefix(served.origin)
        first = await served.ask("GET", path)
        assert (first.status, first.headers["Location"], first.text) == (303, "/", "")
        cookie = first.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert "Expires" not in cookie
        assert "Max-Age" not in cookie
        again = await served.ask("GET", path)
        assert (again.status, "Set-Cookie" in again.headers) == (401, False)
        name, _, rest = cookie.partition("=")
        served.cookies = {name: rest.partition(";")[0]}
        token, session = path.partition("token=")[2], served.cookies[name]
        assert len(token) >= 43
        for asset in load_assets():
            told = await served.ask("GET", asset)
            assert told.status == 200
            assert token not in told.text
            assert session not in told.text

    play(scene, logged_in=False)


@pytest.mark.parametrize("token", ["", "wrong", "x" * 43, "é\ud800"])
def test_a_wrong_token_lets_nobody_in_and_leaves_the_right_one_good(token: str) -> None:
    async def scene(served: Dashboard) -> None:
        path = served.server.new_address().removeprefix(served.origin)
        wrong = await served.ask("GET", f"/?token={token.encode('utf-8', 'replace').decode()}")
        assert (wrong.status, "Set-Cookie" in wrong.headers) == (401, False)
        assert (await served.ask("GET", path)).status == 303

    play(scene, logged_in=False)


def test_another_address_replaces_the_one_before() -> None:
    async def scene(served: Dashboard) -> None:
        first, second = (served.server.new_address().removeprefix(served.origin) for _ in range(2))
        assert (await served.ask("GET", first)).status == 401
        assert (await served.ask("GET", second)).status == 303

    play(scene, logged_in=False)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", [None, "wrong", ""])
def test_without_a_session_there_is_nothing_to_be_had(path: str, cookie: str | None) -> None:
    async def scene(served: Dashboard) -> None:
        await served.log_in()
        served.cookies = {} if cookie is None else dict.fromkeys(served.cookies, cookie)
        for method in ("GET", "POST", "HEAD", "PUT"):
            answer = await served.ask(method, path)
            assert answer.status == 401
            assert method == "HEAD" or answer.text.startswith("Unauthorized")

    play(scene, control=True)


def test_only_so_many_sessions_last() -> None:
    async def scene(served: Dashboard) -> None:
        first = dict(served.cookies)
        for _ in range(MOST_SESSIONS - 1):
            await served.log_in()
        second, served.cookies = served.cookies, first
        assert (await served.ask("GET", "/")).status == 200
        await served.log_in()
        served.cookies = first
        assert (await served.ask("GET", "/")).status == 401
        served.cookies = second
        assert (await served.ask("GET", "/")).status == 200

    play(scene)


@pytest.mark.parametrize("path", [*PATHS, "/?token=x"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://evil.example:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_other_origins_and_other_names_are_refused(path: str, headers: dict[str, str]) -> None:
    async def scene(served: Dashboard) -> None:
        port = served.host.rpartition(":")[2]
        told = {name: value.format(port=port) for name, value in headers.items()}
        for method in ("GET", "POST"):
            answer = await served.ask(method, path, headers=told)
            assert answer.status == 403
            assert not [name for name in answer.headers if name.startswith("Access-Control")]
            assert "Set-Cookie" not in answer.headers

    play(scene, control=True)


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_gets_nothing(path: str) -> None:
    async def scene(served: Dashboard) -> None:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-greenroom-order"}
        for origin in (served.origin, "http://evil.example"):
            answer = await served.ask("OPTIONS", path, headers={"Origin": origin, **asked})
            assert answer.status == 403
            assert not [name for name in answer.headers if name.startswith("Access-Control")]

    play(scene, control=True)


@pytest.mark.parametrize("path", [*PATHS, "/?token=x"])
def test_every_answer_is_protected(path: str) -> None:
    async def scene(served: Dashboard) -> None:
        for cookies in (served.cookies, {}):
            served.cookies = cookies
            for method in ("GET", "POST"):
                if (method, path) != ("GET", "/events"):
                    _is_protected((await served.ask(method, path)).headers)
        await served.log_in()
        async with served.stream("/events") as stream:
            _is_protected(stream.response.headers)

    play(scene, control=True)


def _is_protected(headers: Any) -> None:
    assert {name: headers[name] for name in PROTECTION} == PROTECTION
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert policy["form-action"] == policy["base-uri"] == "'none'"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who connects over TCP")
def test_another_user_is_refused_also_with_the_cookie() -> None:
    async def scene(served: Dashboard) -> None:
        path = served.server.new_address().removeprefix(served.origin)
        with patch.object(module, "owner_of_peer", lambda _: os.getuid() + 1):
            for asked in ("/", path, "/events"):
                assert (await served.ask("GET", asked)).status == 403
        assert (await served.ask("GET", "/")).status == 200

    play(scene)


# Orders


@pytest.mark.parametrize("order", ORDERS)
def test_without_control_every_order_is_refused_by_the_server(order: str) -> None:
    async def scene(served: Dashboard) -> None:
        answer = await served.order(order=order, instance=1, target="c")
        assert (answer.status, "--control" in answer.text) == (403, True)

    play(scene)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"Origin": None}),
        (403, {"x-greenroom-order": None}),
        (403, {"x-greenroom-order": "yes"}),
        (403, {"Origin": "http://evil.example"}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Type": "application/x-www-form-urlencoded"}),
        (415, {"Content-Type": "multipart/form-data"}),
        (404, {"Content-Type": "application/json; charset=utf-8"}),
        (404, {}),
    ],
    ids=str,
)
def test_an_order_comes_from_a_script_of_the_page_or_is_refused(status: int, headers: dict[str, str | None]) -> None:
    """What `fetch` can send without CORS, and what a form can send, lacks one of the three at least."""

    async def scene(served: Dashboard) -> None:
        assert (await served.order(order="kill", instance=1, target="c", headers=headers)).status == status

    play(scene, control=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"order":"format","instance":1}',
        b'{"order":"kill","instance":"1"}',
        b'{"order":"kill","instance":1,"more":1}',
        b'{"order":"kill","instance":1,"target":"%s"}' % (b"x" * 513),
    ],
)
def test_what_is_no_order_is_refused(body: bytes) -> None:
    async def scene(served: Dashboard) -> None:
        headers = {"Origin": served.origin, "Content-Type": "application/json", "x-greenroom-order": "confirmed"}
        assert (await served.ask("POST", "/orders", body, headers)).status == 400
        large = await served.ask("POST", "/orders", b" " * 5000, headers)
        assert large.status == 413

    play(scene, control=True)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/", "GET"), ("DELETE", "/app.js", "GET"), ("GET", "/orders", "POST"), ("PUT", "/events", "GET")],
)
def test_other_methods_are_refused(method: str, path: str, allowed: str) -> None:
    async def scene(served: Dashboard) -> None:
        answer = await served.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)

    play(scene, control=True)


@pytest.mark.parametrize(
    "path", ["/../command.py", "/page/index.html", "/%2e%2e/command.py", "/index.html", "/app.js/"]
)
def test_nothing_but_the_files_of_the_page_is_served(path: str) -> None:
    async def scene(served: Dashboard) -> None:
        assert (await served.ask("GET", path)).status == 404

    play(scene)


@pytest.mark.parametrize(
    ("status", "query"),
    [
        (400, ""),
        (400, "instance=x&conversation=01a20312-0577-77d3-9bb9-ad78bbf82560"),
        (400, "instance=1&conversation=../../auth.json"),
        (404, "instance=1&conversation=01a20312-0577-77d3-9bb9-ad78bbf82560"),
    ],
)
def test_transcripts_are_those_of_running_instances(status: int, query: str) -> None:
    async def scene(served: Dashboard) -> None:
        assert (await served.ask("GET", f"/transcript?{query}")).status == status

    play(scene)


def test_only_so_many_streams_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STREAMS", 2)

    async def scene(served: Dashboard) -> None:
        async with served.stream("/events") as first, served.stream("/events") as second:
            await asyncio.gather(first.next(), second.next())
            assert (await served.ask("GET", "/events")).status == 503
        while served.server._streams:
            await asyncio.sleep(0.01)
        async with served.stream("/events") as stream:
            await stream.next()

    play(scene)


def test_a_page_that_reads_nothing_costs_no_looks() -> None:
    """Its connection fills up, and then nobody waits for news any more."""
    states = itertools.cycle((scenes.crowd(), scenes.nothing()))

    async def run() -> None:
        async with dashboard(scenes.nothing(), look=lambda: next(states), every=0.01) as served:
            await served.log_in()
            cookie = "; ".join(f"{name}={value}" for name, value in served.cookies.items())
            with socket.socket() as sleeper:
                sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sleeper.connect(served.server._address)
                sleeper.sendall(f"GET /events HTTP/1.1\r\nHost: {served.host}\r\nCookie: {cookie}\r\n\r\n".encode())
                await until(lambda: served.collector.looks > 2)
                looks = -1
                while looks != served.collector.looks:
                    looks = served.collector.looks
                    await asyncio.sleep(1.0)

    asyncio.run(run())


def test_what_the_server_says_of_a_refusal_repeats_nothing_of_the_request() -> None:
    async def scene(served: Dashboard) -> None:
        for path in ("/<script>secret", "/?token=secret", "/transcript?instance=secret"):
            answer = await served.ask("GET", path)
            assert answer.status >= 400
            assert "secret" not in answer.text
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert clean(answer.text) == answer.text.strip()

    play(scene)
