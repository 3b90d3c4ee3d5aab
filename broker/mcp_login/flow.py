"""One login to an MCP server, in a browser on this machine (authorization code with PKCE)."""

import asyncio
import os
from collections.abc import Sequence
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit

from greenroom.broker.login.page import PageRequest, PageResponse, new_state
from greenroom.broker.login.server import LoginServer
from greenroom.broker.mcp_login.issuer import LoginError, exchange_code, find_issuer, register
from greenroom.broker.mcp_login.metadata import AuthorizationServer, Challenge, Resource
from greenroom.broker.mcp_login.page import CallbackPage, Returned
from greenroom.broker.mcp_login.record import RegisteredClient, TokenGrant
from greenroom.broker.token_issuer.pkce import Verifier
from greenroom.config.tables.servers import McpServer

OFFLINE: Final = "offline_access"


class McpLoginFlow:
    """`open` it, show its `url`, and `run` it."""

    def __init__(
        self, server: LoginServer, page: CallbackPage, client: RegisteredClient, found: AuthorizationServer
    ) -> None:
        self._server = server
        self._page = page
        self._client = client
        self._found = found
        self._returned: asyncio.Future[Returned] = asyncio.get_running_loop().create_future()
        self._verifier = Verifier.of(os.urandom(64))
        self.scopes: tuple[str, ...] = ()
        self.url = ""

    @classmethod
    async def open(
        cls,
        configured: McpServer,
        scopes: Sequence[str] = (),
        port: int | None = None,
        callback_url: str | None = None,
    ) -> Self:
        """Find the issuer, register the client where that is needed, and listen for the browser.

        `scopes` take precedence over those of the configuration. Raises `LoginError`, `MetadataError` or
        `PortsTakenError`.
        """
        assert configured.url is not None, "only a server with a URL has a login"
        resource, found, challenge = await find_issuer(configured.url)
        wanted = tuple(scopes) or configured.scopes or _scopes(resource, found, challenge)
        server = await LoginServer.bind([port or 0])
        try:
            state = new_state(os.urandom(32))
            page = CallbackPage(
                server.port, state, found.issuer, names_itself=found.names_itself, callback_url=callback_url
            )
            audience = configured.oauth_resource or resource.resource
            if configured.oauth.client_id is not None:
                client = RegisteredClient(
                    found.token_endpoint,
                    found.issuer,
                    configured.oauth.client_id,
                    resource=audience,
                    revocation_endpoint=found.revocation_endpoint,
                )
            else:
                client = await register(found, page.redirect_uri, wanted, audience)
            flow = cls(server, page, client, found)
            flow.scopes = wanted
            flow.url = flow._url(state)
            await server.serve(flow._handle)
        except BaseException:
            await server.close()
            raise
        return flow

    async def run(self) -> tuple[RegisteredClient, TokenGrant]:
        """Wait for the browser and exchange its code. Raises `LoginError`."""
        returned = await self._returned
        if returned.code is None:
            raise LoginError(returned.error or "the login did not succeed")
        grant = await exchange_code(self._client, returned.code, self._page.redirect_uri, self._verifier.secret)
        return self._client, grant

    async def close(self) -> None:
        """Free the port."""
        await self._server.close()

    async def _handle(self, request: PageRequest) -> PageResponse:
        answer = self._page.receive(request)
        if isinstance(answer, PageResponse):
            return answer
        self._returned.set_result(answer)
        return answer.response

    def _url(self, state: str) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._page.redirect_uri,
            "code_challenge": self._verifier.challenge,
            "code_challenge_method": "S256",
            "state": state,
            "resource": self._client.resource,
        }
        if self.scopes:
            parameters["scope"] = " ".join(self.scopes)
        endpoint = self._found.authorization_endpoint
        joint = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{joint}{urlencode(parameters, quote_via=quote, safe='')}"


def _scopes(resource: Resource, found: AuthorizationServer, challenge: Challenge) -> tuple[str, ...]:
    """Return the scopes that the server asks for, and the one for refresh tokens where the issuer has it."""
    wanted = tuple(challenge.scope.split()) if challenge.scope else resource.scopes
    more = (OFFLINE,) if wanted and OFFLINE in found.scopes and OFFLINE not in wanted else ()
    return (*wanted, *more)
