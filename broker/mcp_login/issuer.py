"""The client of MCP servers' issuers: one request a call, without redirects. No error contains a body or a token."""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from greenroom.broker.mcp_login.metadata import (
    AuthorizationServer,
    Challenge,
    MetadataError,
    Resource,
    is_safe,
    issuer_places,
    read_challenge,
    read_issuer,
    read_resource,
    resource_places,
    url_origin,
)
from greenroom.broker.mcp_login.record import RegisteredClient, TokenGrant
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.secrecy import Secret
from greenroom.protocol.version import __version__

DISCOVERY: Final = 5.0
TOTAL: Final = 30.0
"""Seconds for a request of discovery, and for any other."""
LARGEST_BODY: Final = 512 * 1024
CLIENT_NAME: Final = "Codex"
_FORM: Final = "application/x-www-form-urlencoded"
_HEADERS: Final = {"User-Agent": f"codex-mcp-client/{__version__}", "Accept": "application/json"}
_DEAD: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type"})
"""Refusals that no further try changes (RFC 6749, 5.2)."""
_PROBE: Final[Mapping[str, object]] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "codex-mcp-client", "version": __version__},
    },
}


class LoginError(GreenroomError):
    """A login, or its renewal, failed. The text is for people."""


class DeadLoginError(LoginError):
    """A refresh token is permanently invalid."""


class Reply(msgspec.Struct, frozen=True):
    """An answer of a server."""

    status: int
    body: bytes = b""
    challenge: str = ""

    @property
    def members(self) -> dict[str, object]:
        """The body as a JSON object; empty where it is none."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def find_issuer(url: str) -> tuple[Resource, AuthorizationServer, Challenge]:
    """Find the issuer of tokens for a server. Raises `LoginError` or `MetadataError`."""
    if not is_safe(url, url):
        raise MetadataError(f"a login needs a server with TLS, or on this machine; {url} is neither")
    probe = await _ask("POST", url, json=_PROBE, accept="application/json, text/event-stream")
    challenge = read_challenge(probe.challenge)
    resource: Resource | None = None
    for place in resource_places(url, challenge.resource_metadata):
        reply = await _ask("GET", place)
        if reply.status == 200:
            resource = read_resource(url, reply.members)
            break
    if resource is None:
        # Servers from before 2025-06-18 are their own authorization server.
        resource = Resource(url, _origin_of(url))
    for place in issuer_places(resource.issuer):
        reply = await _ask("GET", place)
        if reply.status == 200:
            return resource, read_issuer(resource.issuer, url, reply.members), challenge
    raise LoginError("neither the server nor an authorization server says how to log in")


async def register(
    server: AuthorizationServer, redirect_uri: str, scopes: tuple[str, ...], resource: str
) -> RegisteredClient:
    """Register this client with an issuer (RFC 7591). Raises `LoginError`."""
    if server.registration_endpoint is None:
        raise LoginError("the authorization server registers no clients; set `oauth.client_id` in the server's table")
    wanted: dict[str, object] = {
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    if scopes:
        wanted["scope"] = " ".join(scopes)
    reply = await _ask("POST", server.registration_endpoint, json=wanted)
    client_id, secret = reply.members.get("client_id"), reply.members.get("client_secret")
    if not 200 <= reply.status < 300 or not isinstance(client_id, str):
        raise LoginError(f"the authorization server did not register this client ({_fault(reply)})")
    method = reply.members.get("token_endpoint_auth_method")
    if not isinstance(method, str):
        method = server.methods[0] if isinstance(secret, str) else "none"
    return RegisteredClient(
        server.token_endpoint,
        server.issuer,
        client_id,
        Secret(secret) if isinstance(secret, str) else None,
        method,
        resource,
        server.revocation_endpoint,
    )


async def exchange_code(client: RegisteredClient, code: Secret, redirect_uri: str, verifier: Secret) -> TokenGrant:
    """Exchange the code of a login. Raises `LoginError`."""
    fields = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.reveal(),
    }
    return _granted(await _token_request(client, fields))


async def exchange_refresh_token(client: RegisteredClient, refresh_token: Secret) -> TokenGrant:
    """Exchange a refresh token. Raises `DeadLoginError`, or `LoginError` where it may work later."""
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    return _granted(await _token_request(client, fields))


async def revoke_token(client: RegisteredClient, token: Secret, hint: str) -> bool:
    """Revoke a token (RFC 7009); return whether the issuer confirmed it."""
    if client.revocation_endpoint is None or not token:
        return False
    fields = {"token": token.reveal(), "token_type_hint": hint}
    try:
        reply = await _post_as(client, client.revocation_endpoint, fields)
    except LoginError:
        return False
    return 200 <= reply.status < 300


async def _token_request(client: RegisteredClient, fields: Mapping[str, str]) -> Reply:
    resource = {"resource": client.resource} if client.resource else {}
    return await _post_as(client, client.token_endpoint, {**fields, **resource})


async def _post_as(client: RegisteredClient, url: str, fields: Mapping[str, str]) -> Reply:
    sent, headers = {**fields, "client_id": client.client_id}, {}
    if client.client_secret is not None and client.method == "client_secret_basic":
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret.reveal(), safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif client.client_secret is not None:
        sent["client_secret"] = client.client_secret.reveal()
    return await _ask("POST", url, form=sent, headers=headers)


def _granted(reply: Reply) -> TokenGrant:
    members = reply.members
    if not 200 <= reply.status < 300:
        kind = DeadLoginError if 400 <= reply.status < 500 and members.get("error") in _DEAD else LoginError
        raise kind(f"the authorization server refused ({_fault(reply)})")
    token, kind_of_token = members.get("access_token"), members.get("token_type", "Bearer")
    if not isinstance(token, str) or not token or str(kind_of_token).lower() != "bearer":
        raise LoginError("the authorization server answered without a bearer token")
    refresh, lasts, scope = members.get("refresh_token"), members.get("expires_in"), members.get("scope")
    if isinstance(lasts, str) and lasts.isdecimal():
        lasts = int(lasts)
    return TokenGrant(
        Secret(token),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        float(lasts) if isinstance(lasts, int | float) and 0 <= lasts < 1e12 else None,
        tuple(scope.split()) if isinstance(scope, str) else None,
    )


def _fault(reply: Reply) -> str:
    error = reply.members.get("error")
    return f"HTTP status {reply.status}" + (f", {error[:80]}" if isinstance(error, str) else "")


def _origin_of(url: str) -> str:
    found = url_origin(url)
    assert found is not None, "the address is known to have one"
    return url[: url.index("/", len(found[0]) + 3)] if "/" in url[len(found[0]) + 3 :] else url


async def _ask(
    method: str,
    url: str,
    *,
    json: Mapping[str, object] | None = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    accept: str = "application/json",
) -> Reply:
    from greenroom.runtime.http import aiohttp, tls_context

    data: bytes | None = None
    sent = {**_HEADERS, "Accept": accept, **(headers or {})}
    if json is not None:
        data, sent["Content-Type"] = msgspec.json.encode(json), "application/json"
    elif form is not None:
        data, sent["Content-Type"] = urlencode(form, quote_via=quote, safe="").encode(), _FORM
    timeout = aiohttp.ClientTimeout(total=TOTAL if form is not None else DISCOVERY)
    connector = aiohttp.TCPConnector(force_close=True, ssl=tls_context() if url.startswith("https:") else True)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout, connector=connector, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.request(method, url, data=data, headers=sent, allow_redirects=False) as response,
        ):
            body = b""
            if "text/event-stream" not in response.headers.get("Content-Type", ""):
                while len(body) < LARGEST_BODY and (chunk := await response.content.read(LARGEST_BODY - len(body))):
                    body += chunk
            return Reply(response.status, body, response.headers.get("WWW-Authenticate", ""))
    except TimeoutError:
        raise LoginError(f"{_host(url)} did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise LoginError(f"{_host(url)} cannot be reached ({type(error).__name__})") from None


def _host(url: str) -> str:
    found = url_origin(url)
    return "an address" if found is None else found[1]
