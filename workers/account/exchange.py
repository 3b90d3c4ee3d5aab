"""Sends requests to the service of the user's account, with the login that the auth broker has in force.

Bodies are bounded, redirects are not followed, and no text repeats the bearer.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Self

import msgspec
from msgspec import UNSET

from greenroom.config.tables.account_service import route_url
from greenroom.protocol.internal.account import AccountCall, AccountReply
from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.runtime.http import aiohttp, tls_context
from greenroom.workers.model.outcome.error_body import read_complaint, without
from greenroom.workers.model.transport.body import NotAnAnswerError
from greenroom.workers.model.transport.connection_failure import failure_text
from greenroom.workers.model.transport.content_coding import Expansion
from greenroom.workers.model.transport.endpoint import visible_url
from greenroom.workers.model.transport.proxy import applied, find_proxy, needs_tls
from greenroom.workers.model.transport.session import new_session

LONGEST: Final = 512 * 1024
"""Bytes of a body that are taken; no answer of the service is near it."""
TIMEOUT: Final = 30.0
"""Seconds for one request, its answer included."""
UNAUTHORIZED: Final = 401


class AccountExchange:
    """The requests of one job. Must be entered: it holds connections."""

    def __init__(self, base_url: str, user_agent: str, timeout_s: float = TIMEOUT) -> None:
        self._base_url = base_url
        self._user_agent = user_agent
        self._timeout = timeout_s
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = new_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send_all(self, calls: Sequence[AccountCall], bearer: BearerSnapshot) -> tuple[AccountReply, ...]:
        """Send requests at the same time, and return what each has come to."""
        return tuple(await asyncio.gather(*(self._send(call, bearer) for call in calls)))

    async def _send(self, call: AccountCall, bearer: BearerSnapshot) -> AccountReply:
        url = route_url(self._base_url, call.route)
        request = f"{_method(call)} {_shown(url)}"
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answered(call, url, request, bearer)
        except TimeoutError:
            return AccountReply(request=request, complaint=f"no answer within {self._timeout:g} s")
        except NotAnAnswerError as error:
            return AccountReply(request=request, complaint=str(error))
        except (aiohttp.NonHttpUrlClientError, ValueError):  # its text may hold the value of a header
            return AccountReply(request=request, complaint="the URL, a header or the address of the proxy is not valid")
        except (aiohttp.ClientError, OSError) as error:
            return AccountReply(request=request, complaint=failure_text(error))

    async def _answered(self, call: AccountCall, url: str, request: str, bearer: BearerSnapshot) -> AccountReply:
        headers = self._headers(call, bearer)
        proxy, proxy_headers = applied(find_proxy(url), url, headers)
        response = await self._session.request(
            _method(call),
            url,
            data=None if call.body is UNSET else bytes(call.body),
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
            ssl=tls_context() if needs_tls(url, proxy) else True,
        )
        async with response:
            body = await _body(response)
            return _reply(request, response.status, response.reason or "", body, bearer)

    def _headers(self, call: AccountCall, bearer: BearerSnapshot) -> dict[str, str]:
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": self._user_agent,
            "authorization": f"Bearer {bearer.token}",
            **call.headers,
        }
        if bearer.account_id is not None:
            headers["chatgpt-account-id"] = bearer.account_id
        if call.body is not UNSET:
            headers["content-type"] = "application/json"
        return headers


def _shown(url: str) -> str:
    try:
        return visible_url(url)
    except ValueError:
        return "chatgpt_base_url"


def _method(call: AccountCall) -> str:
    return "GET" if call.body is UNSET else "POST"


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raises `NotAnAnswerError` where it is too long, or compressed in an unknown way."""
    expansion = Expansion(response.headers.get("content-encoding", ""))
    body = bytearray()
    while chunk := await response.content.readany():
        for piece in expansion.feed(chunk):
            body += piece
        if len(body) > LONGEST:
            raise NotAnAnswerError(f"the answer is longer than {LONGEST} bytes")
    return bytes(body)


def _reply(request: str, status: int, reason: str, body: bytes, bearer: BearerSnapshot) -> AccountReply:
    if not 200 <= status < 300:
        said = read_complaint(without(body, (bearer.token,))).message
        return AccountReply(
            request=request, status=status, complaint=": ".join(filter(None, (_phrase(status, reason), said)))
        )
    try:
        content: object = msgspec.json.decode(body or b"null")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return AccountReply(request=request, status=status, complaint="the answer is not JSON")
    return AccountReply(request=request, status=status, content=msgspec.Raw(msgspec.json.encode(content)))


def _phrase(status: int, reason: str) -> str:
    return f"{status} {reason[:60]}".strip()
