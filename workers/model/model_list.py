"""Asks a model server for the list of its models: the cheapest request for which it looks at the credential."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.runtime.http import aiohttp, tls_context
from greenroom.workers.model.credentials.credential import Bearer
from greenroom.workers.model.outcome.error_body import read_complaint, without
from greenroom.workers.model.transport.connection_failure import failure_text
from greenroom.workers.model.transport.endpoint import ModelEndpoint
from greenroom.workers.model.transport.proxy import applied, find_proxy, needs_tls
from greenroom.workers.model.transport.session import SessionFactory, new_session

LONGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read."""
_OF_A_TURN: Final = frozenset({"content-type", "openai-beta", "session_id", "session-id", "thread-id"})
"""Headers that only requests of a conversation have."""


class ModelListed(msgspec.Struct, frozen=True):
    """The server answered, with whatever status."""

    status: int
    date: str | None
    """Its header `Date`."""
    received_at: float
    """When the head of the answer arrived, in seconds since the epoch."""
    seconds: float
    """How long it took."""
    models: tuple[str, ...] | None = None
    """The models that it lists; `None` where the answer is no list."""
    complaint: str = ""
    """Its own words, without secrets."""
    by_proxy: bool = False
    """Whether it went through a proxy."""


class NotListed(msgspec.Struct, frozen=True):
    """There was no answer."""

    cause: str
    seconds: float
    untrusted: bool = False
    """Whether the server's certificate is not trusted."""
    late: bool = False
    """Whether the time was over."""
    by_proxy: bool = False


ModelListAnswer: TypeAlias = ModelListed | NotListed


class _Attempt(msgspec.Struct):
    """One request under way."""

    endpoint: ModelEndpoint
    bearer: Bearer
    by_proxy: bool = False
    begun: float = msgspec.field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


async def list_models(
    endpoint: ModelEndpoint, bearer: Bearer, timeout_s: float, session_factory: SessionFactory = new_session
) -> ModelListAnswer:
    """Return the answer to one GET of the URL of an endpoint. Never raises, but for cancellation."""
    attempt = _Attempt(endpoint, bearer)
    try:
        async with asyncio.timeout(timeout_s), session_factory() as session:
            return await _ask(session, attempt)
    except TimeoutError:
        return NotListed(f"no answer within {timeout_s:g} s", attempt.seconds, late=True, by_proxy=attempt.by_proxy)
    except aiohttp.ClientConnectorCertificateError as error:
        return NotListed(failure_text(error), attempt.seconds, untrusted=True, by_proxy=attempt.by_proxy)
    except (aiohttp.NonHttpUrlClientError, ValueError):  # its text may hold the value of a header
        return NotListed("the URL, a header or the address of the proxy is not valid", attempt.seconds)
    except (aiohttp.ClientError, OSError) as error:
        return NotListed(failure_text(error), attempt.seconds, by_proxy=attempt.by_proxy)


async def _ask(session: aiohttp.ClientSession, attempt: _Attempt) -> ModelListed:
    url = attempt.endpoint.url_for(attempt.bearer)
    headers = _headers(attempt.endpoint, attempt.bearer)
    proxy = find_proxy(url)
    attempt.by_proxy = proxy is not None
    proxy_url, proxy_headers = applied(proxy, url, headers)
    response = await session.get(
        url,
        headers=headers,
        allow_redirects=False,
        proxy=proxy_url,
        proxy_headers=proxy_headers,
        ssl=tls_context() if needs_tls(url, proxy_url) else True,
    )
    async with response:
        received_at = time.time()
        body = bytearray()
        while len(body) < LONGEST and (chunk := await response.content.readany()):
            body += chunk
    listed = 200 <= response.status < 300
    secrets = attempt.endpoint.secrets(attempt.bearer)
    return ModelListed(
        status=response.status,
        date=response.headers.get("date"),
        received_at=received_at,
        seconds=attempt.seconds,
        models=models_in(bytes(body)) if listed else None,
        complaint="" if listed else read_complaint(without(bytes(body[:65536]), secrets)).message,
        by_proxy=attempt.by_proxy,
    )


def models_in(body: bytes) -> tuple[str, ...] | None:
    """Return the models of a list: `id` or `slug` of each member of `data` or `models`; `None` if it is none."""
    try:
        content: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    match content:
        case {"data": [*members]} | {"models": [*members]}:
            return tuple(name for member in members if (name := _name(member)))
    return None


def _name(member: object) -> str:
    if not isinstance(member, Mapping):
        return member if isinstance(member, str) else ""
    found = (member.get(key) for key in ("id", "slug", "model", "name"))
    return next((name for name in found if isinstance(name, str) and name), "")


def _headers(endpoint: ModelEndpoint, bearer: Bearer) -> dict[str, str]:
    headers = endpoint.headers_for(bearer, ConversationId(""))
    kept = {name: value for name, value in headers.items() if name not in _OF_A_TURN}
    return {**kept, "accept": "application/json"}
