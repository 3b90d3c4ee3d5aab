"""The client of the token issuer. Every call is one request: no redirects, no retry.

The HTTP library is imported with the first request. The trusted certificates are named here, so that another import of
the library cannot change them. No error contains a body, a token or a URL.
"""

from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from greenroom.broker.clock import Clock
from greenroom.broker.token_issuer.classify import RefreshAnswer, Unanswered, Unreached
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.broker.token_issuer.pkce import Verifier
from greenroom.broker.token_issuer.token_responses import (
    TokenReply,
    granted,
    is_token,
    refused,
    status_text,
    text_members,
)
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.secrecy import Secret
from greenroom.protocol.version import __version__

if TYPE_CHECKING:
    import aiohttp


TOTAL: Final = 30.0
CONNECT: Final = 10.0
"""Seconds that a request, and its connection, may take."""
REVOKE: Final = 10.0
LARGEST_BODY: Final = 1024 * 1024

_FORM: Final = "application/x-www-form-urlencoded"
_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
_HEADERS: Final = {"originator": "codex_cli_rs", "User-Agent": f"greenroom/{__version__}"}
_PENDING: Final = frozenset({403, 404})
_DEVICE_LOGIN_OFF: Final = (
    "device code login is not enabled for this Codex server. Use the browser login or verify the server URL."
)


class IssuerError(GreenroomError):
    """The issuer did not carry out a step of a login. The text is for people."""


class Granted(msgspec.Struct, frozen=True):
    """All tokens of a login."""

    id_token: Secret
    access_token: Secret
    refresh_token: Secret


class DeviceCode(msgspec.Struct, frozen=True):
    """A login that the user finishes on another machine."""

    device_auth_id: str
    user_code: str
    interval: float
    """Seconds between two polls."""


class DeviceGrant(msgspec.Struct, frozen=True):
    """The issuer's answer once the user has entered the code."""

    code: Secret
    verifier: Verifier


class _AllTokens(msgspec.Struct):
    access_token: str
    refresh_token: str
    id_token: str


class _DeviceCode(msgspec.Struct):
    device_auth_id: str
    user_code: str | None = None
    usercode: str | None = None
    interval: str | int = "5"


class _DeviceGrant(msgspec.Struct):
    authorization_code: str
    code_verifier: str


class Issuer:
    """One issuer."""

    def __init__(self, endpoints: IssuerEndpoints, clock: Clock) -> None:
        self.endpoints = endpoints
        self._clock = clock

    async def refresh(self, refresh_token: Secret) -> RefreshAnswer:
        """Exchange a refresh token, once. Every outcome is a value."""
        from greenroom.runtime.http import aiohttp

        body = {
            "client_id": self.endpoints.client_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
        }
        try:
            reply = await self._post(self.endpoints.refresh_url, json=body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Unreached(type(error).__name__)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Unanswered(type(error).__name__)
        return granted(reply) if 200 <= reply.status < 300 else refused(reply)

    async def exchange_code(self, code: Secret, redirect_uri: str, verifier: Verifier) -> Granted:
        """Exchange the code of a login. Raises `IssuerError`."""
        reply = await self._form(
            {
                "grant_type": "authorization_code",
                "code": code.reveal(),
                "redirect_uri": redirect_uri,
                "client_id": self.endpoints.client_id,
                "code_verifier": verifier.secret.reveal(),
            }
        )
        if not 200 <= reply.status < 300:
            raise IssuerError(status_text("token endpoint returned status", reply))
        tokens = _decoded(reply.body, _AllTokens, "the token endpoint's answer lacks a token")
        if not all(map(is_token, (tokens.id_token, tokens.access_token, tokens.refresh_token))):
            raise IssuerError("the token endpoint's answer holds a token that cannot be used")
        return Granted(Secret(tokens.id_token), Secret(tokens.access_token), Secret(tokens.refresh_token))

    async def exchange_api_key(self, id_token: Secret) -> Secret | None:
        """Exchange an id token for an API key; `None` where the account has none."""
        try:
            reply = await self._form(
                {
                    "grant_type": _TOKEN_EXCHANGE,
                    "client_id": self.endpoints.client_id,
                    "requested_token": "openai-api-key",
                    "subject_token": id_token.reveal(),
                    "subject_token_type": _ID_TOKEN,
                }
            )
            key = text_members(reply.body).get("access_token") if 200 <= reply.status < 300 else None
        except IssuerError:
            return None
        return Secret(key) if key and is_token(key) else None

    async def request_device_code(self) -> DeviceCode:
        """Begin a login on another machine. Raises `IssuerError`."""
        reply = await self._login_post("usercode", {"client_id": self.endpoints.client_id})
        if reply.status == 404:
            raise IssuerError(_DEVICE_LOGIN_OFF)
        if not 200 <= reply.status < 300:
            raise IssuerError(status_text("device code request failed with status", reply))
        code = _decoded(reply.body, _DeviceCode, "the device code answer cannot be read")
        interval = float(code.interval) if str(code.interval).strip().isdigit() else 5.0
        return DeviceCode(code.device_auth_id, code.user_code or code.usercode or "", interval)

    async def poll_device(self, code: DeviceCode) -> DeviceGrant | None:
        """Ask whether the user has entered the code; `None` while not. Raises `IssuerError`."""
        asked = {"device_auth_id": code.device_auth_id, "user_code": code.user_code}
        reply = await self._login_post("token", asked)
        if reply.status in _PENDING:
            return None
        if not 200 <= reply.status < 300:
            raise IssuerError(status_text("device auth failed with status", reply))
        grant = _decoded(reply.body, _DeviceGrant, "the device grant cannot be read")
        return DeviceGrant(Secret(grant.authorization_code), Verifier(Secret(grant.code_verifier)))

    async def revoke(self, token: Secret, hint: str) -> bool:
        """Revoke a token; return whether the issuer confirmed it."""
        body = {"token": token.reveal(), "token_type_hint": hint}
        if hint == "refresh_token":
            body["client_id"] = self.endpoints.client_id
        try:
            reply = await self._trouble_told(self._post(self.endpoints.revoke_url, json=body, total=REVOKE))
        except IssuerError:
            return False
        return 200 <= reply.status < 300

    async def _form(self, fields: Mapping[str, str]) -> TokenReply:
        data = urlencode(fields, quote_via=quote, safe="").encode()
        return await self._trouble_told(self._post(f"{self.endpoints.issuer}/oauth/token", form=data))

    async def _login_post(self, name: str, body: Mapping[str, str]) -> TokenReply:
        return await self._trouble_told(
            self._post(f"{self.endpoints.issuer}/api/accounts/deviceauth/{name}", json=body)
        )

    async def _trouble_told(self, posting: Coroutine[None, None, TokenReply]) -> TokenReply:
        from greenroom.runtime.http import aiohttp

        try:
            return await posting
        except TimeoutError:
            raise IssuerError("the issuer did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise IssuerError(f"the issuer cannot be reached ({type(error).__name__})") from None

    async def _post(
        self, url: str, *, json: Mapping[str, str] | None = None, form: bytes = b"", total: float = TOTAL
    ) -> TokenReply:
        data = form if json is None else msgspec.json.encode(json)
        headers = {**_HEADERS, "Content-Type": _FORM if json is None else "application/json"}
        async with (
            _session(url, total) as session,
            session.post(url, data=data, headers=headers, allow_redirects=False) as response,
        ):
            self._clock.observe(response.headers.get("Date"))
            body = await response.content.read(LARGEST_BODY)
            while not response.content.at_eof() and len(body) < LARGEST_BODY:
                body += await response.content.read(LARGEST_BODY - len(body))
            return TokenReply(response.status, response.reason or "", body, response.headers)


@asynccontextmanager
async def _session(url: str, total: float) -> "AsyncIterator[aiohttp.ClientSession]":
    from greenroom.runtime.http import aiohttp, tls_context

    timeout = aiohttp.ClientTimeout(total=total, connect=CONNECT)
    connector = aiohttp.TCPConnector(force_close=True, ssl=tls_context() if url.startswith("https:") else True)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


T = TypeVar("T")


def _decoded(body: bytes, kind: type[T], complaint: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise IssuerError(complaint) from None
