"""An MCP server that wants a login, and the authorization server that gives it, both on one loopback port."""

import asyncio
import base64
import hashlib
import json
import secrets
import threading
from typing import Any, Self
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

NAME = "docs"


class Guarded:
    """Enter it. What it was asked is in `asked`; what is in `lies` replaces members of its metadata."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.lies: dict[str, dict[str, Any]] = {"resource": {}, "issuer": {}}
        self.lasts = 3600
        self.valid: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.wanted_scope: str | None = None
        self.refuse_refresh: tuple[int, dict[str, Any]] | None = None
        self.redirects_metadata_to: str | None = None
        self.callback: dict[str, str] = {}
        """Parameters that the browser is sent back with, over those that are right."""
        self._codes: dict[str, dict[str, str]] = {}
        self._runner: web.AppRunner | None = None
        self.origin = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/mcp", self._mcp)
        app.router.add_get("/.well-known/oauth-protected-resource/mcp", self._resource)
        app.router.add_get("/.well-known/oauth-authorization-server/auth", self._issuer)
        app.router.add_post("/auth/register", self._register)
        app.router.add_get("/auth/authorize", self._authorize)
        app.router.add_post("/auth/token", self._token)
        app.router.add_post("/auth/revoke", self._revoke)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Of the MCP server."""
        return f"{self.origin}/mcp"

    @property
    def config(self) -> str:
        """The lines of `config.toml` for it."""
        return f'mcp_oauth_credentials_store = "file"\n{self.config_table}'

    @property
    def config_table(self) -> str:
        """Its table alone."""
        return f'[mcp_servers.{NAME}]\nurl = "{self.url}"\n'

    def count(self, what: str) -> int:
        """Return how often something was asked."""
        return sum(kind == what for kind, _ in self.asked)

    def grant(self) -> dict[str, Any]:
        """Issue tokens."""
        access, refresh = f"access-{secrets.token_hex(8)}", f"refresh-{secrets.token_hex(8)}"
        self.valid.add(access)
        self.refresh_tokens.add(refresh)
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.lasts,
            "refresh_token": refresh,
            "scope": "read",
        }

    async def browse(self, url: str) -> tuple[int, str]:
        """Be the user's browser: follow a login to its end, and return what the page then says."""
        async with aiohttp.ClientSession() as session:
            async with session.get(url, allow_redirects=False) as response:
                back = response.headers["Location"]
            async with session.get(back) as response:
                return response.status, await response.text()

    async def _mcp(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        message = await request.json() if request.method == "POST" else {}
        self.asked.append(("mcp", {"token": token, **message}))
        if token not in self.valid:
            place = f"{self.origin}/.well-known/oauth-protected-resource/mcp"
            return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{place}"'})
        if request.method != "POST":
            return web.Response(status=405)
        if self.wanted_scope is not None and message.get("method") == "tools/call":
            told = f'Bearer error="insufficient_scope", scope="{self.wanted_scope}"'
            return web.Response(status=403, headers={"WWW-Authenticate": told})
        results: dict[str, Any] = {
            "initialize": lambda: {"protocolVersion": message["params"]["protocolVersion"]},
            "tools/list": lambda: {"tools": [{"name": "go", "inputSchema": {"type": "object"}}]},
            "tools/call": lambda: {"content": [{"type": "text", "text": "done"}]},
        }
        if message["method"] not in results:
            return web.Response(status=202)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]()})

    async def _resource(self, _: web.Request) -> web.Response:
        if self.redirects_metadata_to is not None:
            return web.Response(status=302, headers={"Location": self.redirects_metadata_to})
        told = {"resource": self.url, "authorization_servers": [f"{self.origin}/auth"], "scopes_supported": ["read"]}
        return web.json_response({**told, **self.lies["resource"]})

    async def _issuer(self, _: web.Request) -> web.Response:
        issuer = f"{self.origin}/auth"
        names = ("authorize", "token", "register", "revoke")
        keys = ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")
        endpoints = {key: f"{issuer}/{name}" for key, name in zip(keys, names, strict=True)}
        told = {"issuer": issuer, **endpoints, "code_challenge_methods_supported": ["S256"]}
        return web.json_response({**told, **self.lies["issuer"]})

    async def _register(self, request: web.Request) -> web.Response:
        self.asked.append(("register", await request.json()))
        return web.json_response({"client_id": "client-1", "token_endpoint_auth_method": "none"}, status=201)

    async def _authorize(self, request: web.Request) -> web.Response:
        given = dict(request.query)
        self.asked.append(("authorize", given))
        code = secrets.token_hex(8)
        self._codes[code] = given
        back = {"code": code, "state": given["state"], "iss": f"{self.origin}/auth", **self.callback}
        query = "&".join(f"{name}={value}" for name, value in back.items())
        return web.Response(status=302, headers={"Location": f"{given['redirect_uri']}?{query}"})

    async def _token(self, request: web.Request) -> web.Response:
        given = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.asked.append((given["grant_type"], given))
        if given.get("resource") != self.url or given.get("client_id") != "client-1":
            return web.json_response({"error": "invalid_target"}, status=400)
        if given["grant_type"] == "refresh_token":
            if self.refuse_refresh is not None:
                return web.json_response(self.refuse_refresh[1], status=self.refuse_refresh[0])
            if given["refresh_token"] not in self.refresh_tokens:
                return web.json_response({"error": "invalid_grant"}, status=400)
            self.refresh_tokens.discard(given["refresh_token"])
            return web.json_response(self.grant())
        asked = self._codes.pop(given["code"])
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        right = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        if not right or asked["redirect_uri"] != given["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self.grant())

    async def _revoke(self, request: web.Request) -> web.Response:
        given = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.asked.append(("revoke", given))
        return web.json_response({})


class Served:
    """A `Guarded` in a thread, for commands that have a loop of their own."""

    def __init__(self) -> None:
        self.guarded = Guarded()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.guarded.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.guarded.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def open_url(self, url: str) -> None:
        """Be a browser that opens: it goes on by itself."""
        asyncio.run_coroutine_threadsafe(self.guarded.browse(url), self.loop)


def stored(home: Any) -> dict[str, Any]:
    """Return the records of a home."""
    with open(f"{home}/.credentials.json") as file:
        found: dict[str, Any] = json.load(file)
    return found
