"""A login ends exactly once, saves all or nothing, and leaves its port free (docs/security.md, K32)."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.broker.login import flows as login_flows
from greenroom.broker.login.flows import BrowserFlow, DeviceFlow
from greenroom.broker.login.logins import LoggedIn, Logins, record_of
from greenroom.broker.login.server import PortsTakenError
from greenroom.broker.token_issuer.client import Issuer, IssuerError
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.protocol.internal.broker.answers import LoginStarted
from greenroom.protocol.internal.broker.broadcasts import LoginComplete
from greenroom.protocol.internal.broker.questions import LoginStart
from tests.broker.homes import Parts, read, write
from tests.broker.issuer import ACCOUNT, MockIssuer

NOT_COMPLETED = "Login server error: Login was not completed"


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Desk:
    """A home with its logins, and a browser."""

    def __init__(self, home: str, issuer: MockIssuer, rules: LoginRules = ANY_LOGIN) -> None:
        self.home = home
        self.issuer = issuer
        self.parts = Parts(home, issuer)
        self.ports = [free_port(), free_port()]
        self.endings: asyncio.Queue[LoginComplete] = asyncio.Queue()
        ours = Issuer(IssuerEndpoints.of(issuer.url), self.parts.clock)
        self.logins = Logins(
            {
                "browser": lambda: BrowserFlow.open(ours, self.ports, rules),
                "device": lambda: DeviceFlow.open(ours, rules),
            },
            self.save,
            self.endings.put,
        )

    async def save(self, logged_in: LoggedIn) -> None:
        await self.parts.manager.log_in(lambda found: record_of(logged_in, self.parts.clock.wall(), found))

    async def start(self) -> LoginStarted:
        return await self.logins.start(LoginStart())

    async def visit(
        self, url: str, headers: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, allow_redirects=follow) as response,
        ):
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            return response.status, await response.text()

    async def come_back(self, started: LoginStarted, **query: str) -> tuple[int, str]:
        """Return from the issuer as a browser does."""
        return await self.visit(callback(started, **query))

    async def ending(self) -> LoginComplete:
        async with asyncio.timeout(10):
            return await self.endings.get()


def callback(started: LoginStarted, **query: str) -> str:
    asked = parse_qs(urlsplit(started.url).query)
    return f"{asked['redirect_uri'][0]}?{urlencode({'state': asked['state'][0], 'code': 'abc'} | query)}"


def play(home: Any, scene: Callable[[Desk], Awaitable[None]], rules: LoginRules = ANY_LOGIN) -> None:
    async def run() -> None:
        async with MockIssuer() as issuer:
            desk = Desk(str(home), issuer, rules)
            try:
                await scene(desk)
            finally:
                await desk.logins.close()
            assert all(is_free(port) for port in desk.ports)
            assert desk.endings.empty()

    asyncio.run(run())


def test_a_login_from_end_to_end(tmp_path: Any) -> None:
    """Scenarios 11 and 12: the home is made, the browser ends on a page, the store holds everything."""

    async def scene(desk: Desk) -> None:
        started = await desk.start()
        status, text = await desk.come_back(started)
        assert (status, "Signed in" in text) == (200, True)
        ending = await desk.ending()
        assert (ending.login_id, ending.success, ending.error) == (started.login_id, True, None)
        stored = read(desk.home)
        assert stored["auth_mode"] == "chatgpt"
        assert stored["OPENAI_API_KEY"] == "sk-exchanged-key"
        assert stored["tokens"]["account_id"] == "acc-123"  # type: ignore[index]
        assert stored["tokens"]["refresh_token"] in desk.issuer.live  # type: ignore[index]
        assert (await desk.parts.snapshot()).account_id == "acc-123"
        exchange = desk.issuer.requests[0]
        assert list(exchange) == ["grant_type", "code", "redirect_uri", "client_id", "code_verifier"]

    play(tmp_path / "not" / "there", scene)


def test_a_login_replaces_the_whole_record(tmp_path: Any) -> None:
    """fixed."""
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-old", "tokens": None, "bedrock_api_key": {"region": "x"}})

    async def scene(desk: Desk) -> None:
        await desk.come_back(await desk.start())
        assert (await desk.ending()).success
        assert read(desk.home)["OPENAI_API_KEY"] == "sk-exchanged-key"
        assert read(desk.home)["bedrock_api_key"] == {"region": "x"}

    play(tmp_path, scene)


def test_cancelling(tmp_path: Any) -> None:
    """Scenario 17."""

    async def scene(desk: Desk) -> None:
        started = await desk.start()
        assert not await desk.logins.cancel("another id")
        assert await desk.logins.cancel(started.login_id)
        assert is_free(desk.ports[0])
        assert (await desk.ending()).error == NOT_COMPLETED
        assert not await desk.logins.cancel(started.login_id)

    play(tmp_path, scene)


def test_cancelling_wins_over_the_exchange(tmp_path: Any) -> None:
    """Scenario 54, K32: nothing is saved, and the port is free within 2 s."""

    async def scene(desk: Desk) -> None:
        desk.issuer.exchange_gate = asyncio.Event()
        started = await desk.start()
        browser = asyncio.create_task(desk.come_back(started))
        await desk.issuer.exchanging.wait()
        async with asyncio.timeout(2):
            assert await desk.logins.cancel(started.login_id)
        desk.issuer.exchange_gate.set()
        assert (await browser)[0] == 500
        assert (await desk.ending()).error == NOT_COMPLETED
        assert is_free(desk.ports[0])
        assert not (tmp_path / "auth.json").exists()

    play(tmp_path, scene)


def test_a_second_login_replaces_the_first(tmp_path: Any) -> None:
    """The older login ends, and the new one gets its port."""

    async def scene(desk: Desk) -> None:
        first = await desk.start()
        second = await desk.start()
        ending = await desk.ending()
        assert (ending.login_id, ending.error) == (first.login_id, NOT_COMPLETED)
        assert urlsplit(callback(second)).port == urlsplit(callback(first)).port == desk.ports[0]
        await desk.come_back(second)
        assert (await desk.ending()).success

    play(tmp_path, scene)


def test_a_login_right_after_a_success_gets_the_port(tmp_path: Any) -> None:
    """The page of the first lingers for its browser, but not in anybody's way."""

    async def scene(desk: Desk) -> None:
        status, _ = await desk.visit(callback(await desk.start()), follow=False)
        assert status == 302
        assert (await desk.ending()).success
        second = await desk.start()
        assert urlsplit(callback(second)).port == desk.ports[0]
        await desk.logins.cancel()
        await desk.ending()

    play(tmp_path, scene)


def test_an_issuer_that_says_no(tmp_path: Any) -> None:
    """Scenario 39: an error page, the login fails, nothing is stored."""

    async def scene(desk: Desk) -> None:
        status, text = await desk.come_back(await desk.start(), error="access_denied", error_description="not you")
        assert (status, "not you" in text) == (400, True)
        assert (await desk.ending()).error == "Login server error: Sign-in failed: not you"
        assert not (tmp_path / "auth.json").exists()

    play(tmp_path, scene)


OTHERS = LoginRules(workspaces=("acc-7", "acc-8"))


def test_an_account_of_another_workspace_is_turned_away(tmp_path: Any) -> None:
    """Scenario 39: and nothing is stored."""

    async def scene(desk: Desk) -> None:
        started = await desk.start()
        asked = parse_qs(urlsplit(started.url).query)
        assert asked["allowed_workspace_id"] == ["acc-7,acc-8"]
        status, shown = await desk.come_back(started)
        assert status == 403
        assert "acc-7, acc-8" in shown
        ended = await desk.ending()
        assert not ended.success
        assert "`forced_chatgpt_workspace_id`" in str(ended.error)
        await desk.logins.start(LoginStart(method="device"))
        assert "`forced_chatgpt_workspace_id`" in str((await desk.ending()).error)
        assert not os.path.exists(os.path.join(desk.home, "auth.json"))
        assert all(request["grant_type"] == "authorization_code" for request in desk.issuer.requests)

    play(tmp_path, scene, OTHERS)


def test_an_account_of_the_workspace_is_let_in(tmp_path: Any) -> None:
    async def scene(desk: Desk) -> None:
        await desk.come_back(await desk.start())
        assert (await desk.ending()).success

    play(tmp_path, scene, LoginRules("chatgpt", ("acc-7", ACCOUNT)))


def test_an_exchange_that_fails(tmp_path: Any) -> None:
    async def scene(desk: Desk) -> None:
        desk.issuer.code_status = 400
        status, text = await desk.come_back(await desk.start())
        assert (status, text) == (500, "Token exchange failed: token endpoint returned status 400 Bad Request")
        assert (await desk.ending()).error == f"Login server error: {text}"

    play(tmp_path, scene)


def test_a_store_that_cannot_be_written(tmp_path: Any) -> None:
    """The browser and the client are told; it is not a success."""
    (tmp_path / "file").write_text("")

    async def scene(desk: Desk) -> None:
        status, text = await desk.come_back(await desk.start())
        assert (status, text[:27]) == (500, "Unable to persist auth file")
        assert "could not be saved" in ((await desk.ending()).error or "")

    play(tmp_path / "file" / "home", scene)


def test_a_stranger_cannot_end_a_login(tmp_path: Any) -> None:
    """Scenario 55, K32: `/success` before the callback, a wrong state, a foreign host name, a web page that cancels."""

    async def scene(desk: Desk) -> None:
        started = await desk.start()
        base = f"http://127.0.0.1:{desk.ports[0]}"
        assert (await desk.visit(f"{base}/success"))[0] == 404
        assert (await desk.come_back(started, state="guess"))[0] == 400
        assert (await desk.visit(callback(started), {"Host": "evil.example"}))[0] == 400
        assert (await desk.visit(f"{base}/cancel", {"Origin": "https://evil.example"}))[0] == 403
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Referer": "https://evil.example/"},
            {"User-Agent": "Mozilla/5.0"},
        ):
            assert (await desk.visit(f"{base}/cancel", headers))[0] == 403
        assert desk.endings.empty()
        await desk.come_back(started)
        assert (await desk.ending()).success

    play(tmp_path, scene)


def test_another_login_of_this_family_is_asked_to_leave(tmp_path: Any) -> None:
    """With `GET /cancel`, as later releases do."""

    async def scene(desk: Desk) -> None:
        other = Desk(str(tmp_path / "other"), desk.issuer)
        other.ports = desk.ports
        await other.start()
        started = await desk.start()
        assert (await other.ending()).error == "Login server error: Login cancelled"
        assert urlsplit(callback(started)).port == desk.ports[0]
        await desk.logins.cancel()
        await desk.ending()

    play(tmp_path, scene)


def test_foreign_listeners(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenario 39: the second port, in the redirect address too; then an error that names the last one."""
    monkeypatch.setattr("greenroom.broker.login.server.PAUSE", 0.001)
    monkeypatch.setattr("greenroom.broker.login.server.CANCEL_TIMEOUT", 0.01)

    async def scene(desk: Desk) -> None:
        with socket.create_server(("127.0.0.1", desk.ports[0])):
            started = await desk.start()
            assert urlsplit(callback(started)).port == desk.ports[1]
            await desk.logins.cancel()
            await desk.ending()
            with (
                socket.create_server(("127.0.0.1", desk.ports[1])),
                pytest.raises(PortsTakenError, match=f"Port 127.0.0.1:{desk.ports[1]} is already in use"),
            ):
                await desk.start()

    play(tmp_path, scene)


def test_a_login_times_out(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrowserFlow, "timeout_s", 0.05)

    async def scene(desk: Desk) -> None:
        await desk.start()
        assert (await desk.ending()).error == "Login timed out"

    play(tmp_path, scene)


def test_a_login_on_another_machine(tmp_path: Any) -> None:
    """Scenario 40: pending, then success."""

    async def scene(desk: Desk) -> None:
        desk.issuer.device_pending = 3
        started = await desk.logins.start(LoginStart(method="device"))
        assert (started.url, started.user_code) == (f"{desk.issuer.url}/codex/device", "ABCD-1234")
        assert (await desk.ending()).success
        assert read(desk.home)["OPENAI_API_KEY"] is None
        assert desk.issuer.requests[0]["redirect_uri"] == f"{desk.issuer.url}/deviceauth/callback"

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, "device code login is not enabled"), (503, "device code request failed with status 503")],
)
def test_a_device_code_that_is_not_given(tmp_path: Any, status: int, text: str) -> None:
    """Scenario 40."""

    async def scene(desk: Desk) -> None:
        desk.issuer.device_status = status
        with pytest.raises(IssuerError, match=text):
            await desk.logins.start(LoginStart(method="device"))

    play(tmp_path, scene)


def test_a_device_login_that_fails_or_takes_too_long(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenario 40: nothing is stored."""

    async def scene(desk: Desk) -> None:
        desk.issuer.code_status = 401
        await desk.logins.start(LoginStart(method="device"))
        assert "device auth failed with status 401" in ((await desk.ending()).error or "")
        monkeypatch.setattr(login_flows, "DEVICE_TIMEOUT", 0.02)
        desk.issuer.device_pending = 10**9
        await desk.logins.start(LoginStart(method="device"))
        assert (await desk.ending()).error == "Login server error: device auth timed out after 15 minutes"
        assert not (tmp_path / "auth.json").exists()

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "line", ["GET {path} HTTP/9.9.9", "GET {path}", "G\x01T {path} HTTP/1.1", "GET {path} HTTP/1.1\r\n: x"]
)
def test_a_malformed_request_leaves_nothing_in_the_log(
    tmp_path: Any, line: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Code and state are in the address."""

    async def scene(desk: Desk) -> None:
        started = await desk.start()
        parts = urlsplit(callback(started, code="the-code"))
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.ports[0])
        writer.write(line.format(path=f"{parts.path}?{parts.query}").encode() + b"\r\n\r\n")
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()
        await desk.logins.cancel()
        await desk.ending()

    with caplog.at_level("DEBUG"):
        play(tmp_path, scene)
    said = capsys.readouterr()
    assert "the-code" not in said.err + said.out + caplog.text
    assert "Traceback" not in said.err + caplog.text
