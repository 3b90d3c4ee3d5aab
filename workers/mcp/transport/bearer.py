"""Adds the access token of a login to requests to an MCP server. It is requested each time, and never kept."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import httpx2

from greenroom.protocol.internal.broker.answers import McpBearer
from greenroom.workers.model.credentials.channel import CredentialError

AskBearer: TypeAlias = Callable[[str | None], Awaitable[McpBearer]]
"""Takes the serial of a rejected token. Raises `CredentialError`."""

_SCOPE: Final = 'scope="'


class Refusal(Protocol):
    """Called with the reason why a request failed."""

    def __call__(self, reason: str | None) -> None: ...


class BearerAuth(httpx2.Auth):
    """The authentication for one server."""

    def __init__(self, name: str, ask: AskBearer, note: Refusal) -> None:
        """`note` is called with advice for the user if the server requires a login."""
        self._name = name
        self._ask = ask
        self._note = note

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request, and once more with another token if the first is rejected."""
        self._note(None)
        bearer = await self._bearer(None)
        response = yield self._carrying(request, bearer)
        if response.status_code == httpx2.codes.UNAUTHORIZED and bearer is not None:
            bearer = await self._bearer(bearer.serial)
            if bearer is not None:
                response = yield self._carrying(request, bearer)
                if response.status_code == httpx2.codes.UNAUTHORIZED:
                    self._note(f"its bearer is refused; log in again with `greenroom mcp login {self._name}`")
        if response.status_code == httpx2.codes.FORBIDDEN:
            self._note_scope(response.headers.get("WWW-Authenticate", ""))

    async def _bearer(self, rejected: str | None) -> McpBearer | None:
        try:
            return await self._ask(rejected)
        except CredentialError as error:
            if error.error.code != "not_found":
                self._note(str(error))
            return None

    @staticmethod
    def _carrying(request: httpx2.Request, bearer: McpBearer | None) -> httpx2.Request:
        if bearer is not None:
            request.headers["Authorization"] = f"Bearer {bearer.token}"
        return request

    def _note_scope(self, challenge: str) -> None:
        if "insufficient_scope" not in challenge:
            return
        scope = challenge.partition(_SCOPE)[2].partition('"')[0]
        more = f" --scopes {','.join(scope.split())}" if scope else ""
        self._note(f"its login lacks a right; log in again with `greenroom mcp login {self._name}{more}`")
