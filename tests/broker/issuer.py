"""A scripted issuer of tokens on the loopback interface: delays, fails, resets, rotates, and detects reuse."""

import asyncio
import base64
import itertools
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

ACCOUNT = "acc-123"
CERTIFICATE = str(Path(__file__).with_name("issuer.pem"))
"""With its key; only clients that are told to trust it."""
AUTH = "https://api.openai.com/auth"


def jwt(payload: dict[str, object]) -> str:
    """Return an unsigned token with these claims."""
    return ".".join(_base64url(part) for part in (b'{"alg":"none","typ":"JWT"}', json.dumps(payload).encode(), b"sig"))


def id_token(account: str | None = ACCOUNT, plan: str | None = "pro", user: str = "user-1", **claims: object) -> str:
    """Return an id token."""
    auth = {"chatgpt_plan_type": plan, "chatgpt_account_id": account, "chatgpt_user_id": user}
    known = {"email": f"{user}@example.com", "sub": user, AUTH: {k: v for k, v in auth.items() if v is not None}}
    return jwt(known | claims)


def access_token(lasts: float, serial: int = 0, issued: float | None = None) -> str:
    """Return an access token that ends in `lasts` seconds."""
    issued = time.time() if issued is None else issued
    return jwt({"exp": int(issued + lasts), "iat": int(issued) - 3600, "serial": serial})


@dataclass
class Deed:
    """What is done with one refresh instead of answering it well."""

    status: int = 200
    body: dict[str, object] | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    """Answer only when it is set."""
    consumes: bool = True
    """Whether the token is spent all the same."""
    resets: bool = False
    """Drop the connection instead of answering."""
    merges: dict[str, object] = field(default_factory=dict)
    """Members that a good answer has in place of its own; `None` leaves one out."""


def refusal(status: int, code: str | None = None, **headers: str) -> Deed:
    """Refuse a refresh, without spending the token."""
    body: dict[str, object] = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": code}}
    return Deed(status, body, {name.replace("_", "-"): value for name, value in headers.items()}, consumes=False)


class MockIssuer:
    """The issuer. It serves between entering and leaving."""

    def __init__(self, lifetime: float = 3600.0, account: str = ACCOUNT, *, tls: bool = False) -> None:
        self.lifetime = lifetime
        self.account = account
        self.tls = tls
        self.deeds: deque[Deed] = deque()
        self.requests: list[dict[str, object]] = []
        self.spent: dict[str, float] = {}
        self.live: set[str] = set()
        self.reuses: list[str] = []
        """Refresh tokens that came although they were spent."""
        self.on_spent: Callable[[str], Awaitable[None]] | None = None
        self.date_offset: float | None = None
        self.revoked: list[dict[str, object]] = []
        self.codes: dict[str, int] = {}
        self.device_pending = 0
        self.device_status = 200
        self.code_status = 200
        self.exchange_gate: asyncio.Event | None = None
        self.exchanging = asyncio.Event()
        """Set once a code has come to be exchanged."""
        self._serials = itertools.count(1)
        self._arrival = asyncio.Condition()
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=_tls() if self.tls else None)
        await site.start()
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def refreshes(self) -> list[dict[str, object]]:
        """Every request that tried to refresh a refresh token."""
        return [request for request in self.requests if request.get("grant_type") == "refresh_token"]

    def grant(self) -> str:
        """Return a fresh refresh token of this issuer."""
        token = f"refresh-{next(self._serials)}-{id(self):x}"
        self.live.add(token)
        return token

    async def arrived(self, count: int) -> None:
        """Wait until that many refreshes have come."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.refreshes) >= count)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        routes: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            "/oauth/token": self._token,
            "/oauth/revoke": self._revoke,
            "/api/accounts/deviceauth/usercode": self._usercode,
            "/api/accounts/deviceauth/token": self._device,
        }
        response = await routes[request.path](request)
        if self.date_offset is not None:
            stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + self.date_offset))
            response.headers["Date"] = stamp
        return response

    async def _token(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.content_type != "application/json":
            return await self._exchange(request)
        body = await request.json()
        async with self._arrival:
            self.requests.append(body)
            self._arrival.notify_all()
        return await self._refresh(request, str(body["refresh_token"]))

    async def _refresh(self, request: web.BaseRequest, token: str) -> web.StreamResponse:
        deed = self.deeds.popleft() if self.deeds else Deed()
        if token in self.spent:
            self.reuses.append(token)
            return web.json_response({"error": {"code": "refresh_token_reused", "message": "used"}}, status=401)
        if token not in self.live:
            return web.json_response({"error": {"code": "invalid_refresh_token", "message": "?"}}, status=401)
        if deed.consumes:
            self.live.discard(token)
            self.spent[token] = time.time()
            if self.on_spent is not None:
                await self.on_spent(token)
        if deed.gate is not None:
            await deed.gate.wait()
        if deed.resets:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(deed.body, bytes):
            return web.Response(status=deed.status, body=deed.body, headers=deed.headers)
        body = deed.body if deed.body is not None else self._tokens() | deed.merges
        kept = {name: value for name, value in body.items() if value is not None}
        return web.json_response(kept, status=deed.status, headers=deed.headers)

    def _tokens(self) -> dict[str, object]:
        refresh = self.grant()
        return {
            "access_token": access_token(self.lifetime, next(self._serials)),
            "refresh_token": refresh,
            "id_token": id_token(self.account),
        }

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        form = dict(await request.post())
        self.requests.append({**form})
        if form["grant_type"] != "authorization_code":
            return web.json_response({"access_token": "sk-exchanged-key"})
        self.exchanging.set()
        if self.exchange_gate is not None:
            await self.exchange_gate.wait()
        if self.code_status != 200:
            return web.json_response({"error": "invalid_grant"}, status=self.code_status)
        return web.json_response(
            {
                "id_token": id_token(self.account),
                "access_token": access_token(self.lifetime, next(self._serials)),
                "refresh_token": self.grant(),
            }
        )

    async def _revoke(self, request: web.BaseRequest) -> web.StreamResponse:
        self.revoked.append(await request.json())
        return web.json_response({}, status=500)

    async def _usercode(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(
            {"device_auth_id": "device-1", "user_code": "ABCD-1234", "interval": "0"}, status=self.device_status
        )

    async def _device(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.device_pending > 0:
            self.device_pending -= 1
            return web.json_response({}, status=404)
        return web.json_response(
            {"authorization_code": "code-1", "code_challenge": "challenge", "code_verifier": "verifier"},
            status=self.code_status,
        )


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class IssuerThread:
    """An issuer on a loop of its own, for tests that have none."""

    def __init__(self, *deeds: Deed) -> None:
        self.issuer = MockIssuer()
        self.issuer.deeds.extend(deeds)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self.issuer.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self.issuer.__aexit__(kind, error, trace))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def arrived(self, count: int) -> None:
        """Wait until that many refreshes have come."""
        self._do(self.issuer.arrived(count))

    def open(self, gate: asyncio.Event) -> None:
        """Let what waits at a gate through."""
        self._loop.call_soon_threadsafe(gate.set)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20.0)
