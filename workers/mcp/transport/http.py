"""The transport over streamable HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx2
from mcp.client import Transport as Streams
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client

from greenroom.runtime.http import tls_context
from greenroom.workers.mcp.transport.bearer import AskBearer, BearerAuth
from greenroom.workers.mcp.transport.http_repair import repair
from greenroom.workers.mcp.transport.interface import MESSAGE_LIMIT
from greenroom.workers.mcp.transport.launch import ServerUrl

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_WANTS_LOGIN: Final = frozenset({httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN})
_CONNECT_SECONDS: Final = 30.0


class HttpTransport:
    """The URL of a server."""

    pauses: tuple[float, ...] = (0.25, 1.0)

    def __init__(self, address: ServerUrl, name: str = "", ask_bearer: AskBearer | None = None) -> None:
        """`ask_bearer` returns the token of a login to the server, if there is one."""
        self._address = address
        self._auth = None if ask_bearer is None else BearerAuth(name, ask_bearer, self._note_refusal)
        self._refusal: str | None = None
        self._status: int | None = None
        """The status of the last error response."""
        self._answered = False
        self._expired = False

    def open(self) -> Streams:
        return self._open()

    async def cause(self) -> str | None:
        if not self._answered:
            return "it cannot be reached"
        if self._status in _WANTS_LOGIN and (refusal := self.refusal) is not None:
            said = httpx2.codes(self._status)
            return f"it answered {said.value} {httpx2.codes.get_reason_phrase(said)}; {refusal}"
        return None if self._status is None else f"it answered with HTTP status {self._status}"

    async def gone(self) -> None:
        await asyncio.get_running_loop().create_future()  # whether a URL is reachable shows with the first request

    @property
    def refusal(self) -> str | None:
        if self._status not in _WANTS_LOGIN:
            return None
        if self._refusal is None and self._status == httpx2.codes.UNAUTHORIZED:
            return "give it a token with `bearer_token_env_var`"
        return self._refusal

    @property
    def expired(self) -> bool:
        return self._expired

    @property
    def may_pass(self) -> bool:
        return not self._answered or self._status in _PASSING

    @asynccontextmanager
    async def _open(self) -> "AsyncIterator[TransportStreams]":
        self._answered, self._status = False, None
        client = httpx2.AsyncClient(
            # Bodies are inspected as they arrive.
            headers={"Accept-Encoding": "identity", **self._address.headers},
            # Each request has its own time limit, and the stream of notifications may be silent for ever.
            timeout=httpx2.Timeout(_CONNECT_SECONDS, read=None),
            verify=tls_context(),
            auth=self._auth,
            event_hooks={"response": [self._note]},
        )
        async with (
            client,
            streamable_http_client(self._address.url, http_client=client, max_sse_event_size=MESSAGE_LIMIT) as streams,
        ):
            yield streams

    def _note_refusal(self, reason: str | None) -> None:
        self._refusal = reason

    async def _note(self, response: httpx2.Response) -> None:
        # A response to GET is about the stream of notifications, which is optional.
        self._answered = True
        repair(response)
        if response.is_success:
            self._status = None
        if response.is_error and response.request.method == "POST":
            self._status = response.status_code
            if response.status_code == httpx2.codes.NOT_FOUND and MCP_SESSION_ID in response.request.headers:
                self._expired = True
