"""The two ways to log in with an account: a browser on this machine, or a code entered on another."""

import asyncio
import os
from collections.abc import Sequence
from typing import Final, Self

from greenroom.broker.credential.claims import Claims, TokenFormatError, read_claims
from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.broker.login.logins import NOT_COMPLETED, LoggedIn, LoginFailedError, Save
from greenroom.broker.login.page import NOT_SAVED, LoginEnded, LoginPage, PageRequest, PageResponse, new_state
from greenroom.broker.login.server import PORTS, LoginServer
from greenroom.broker.token_issuer.client import DeviceCode, DeviceGrant, Granted, Issuer, IssuerError
from greenroom.broker.token_issuer.pkce import Verifier
from greenroom.protocol.secrecy import Secret

BROWSER_TIMEOUT: Final = 600.0
DEVICE_TIMEOUT: Final = 900.0
"""Seconds that the user has to finish in a browser, or to enter a code elsewhere."""
LINGER: Final = 5.0
"""Seconds that the server stays after a success so that the browser can load the last page."""


class BrowserFlow:
    """A login in a browser on this machine."""

    user_code: str | None = None
    timeout_s = BROWSER_TIMEOUT

    def __init__(self, issuer: Issuer, server: LoginServer, rules: LoginRules) -> None:
        self._issuer = issuer
        self._server = server
        self._rules = rules
        state, verifier = new_state(os.urandom(32)), Verifier.of(os.urandom(64))
        self._page = LoginPage(issuer.endpoints, server.port, state, verifier, rules.workspaces)
        self._code: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        self._response: asyncio.Future[PageResponse] = asyncio.get_running_loop().create_future()
        self._shown = asyncio.Event()
        self.port = server.port
        self.url = self._page.url

    @classmethod
    async def open(cls, issuer: Issuer, ports: Sequence[int] = PORTS, rules: LoginRules = ANY_LOGIN) -> Self:
        """Bind a port and serve the page. Raises `PortsTakenError`."""
        flow = cls(issuer, await LoginServer.bind(ports), rules)
        await flow._server.serve(flow._handle)
        return flow

    async def run(self, save: Save) -> None:
        """Wait for the browser, exchange its code and save the tokens."""
        code = await self._code
        try:
            granted = await self._issuer.exchange_code(code, self._page.redirect_uri, self._page.verifier)
            claims = _claims(granted)
            if objection := self._rules.against_account(claims.account_id):
                self._response.set_result(self._page.refused(objection))
                raise LoginFailedError(objection)
            api_key = await self._issuer.exchange_api_key(granted.id_token)
        except (IssuerError, TokenFormatError) as error:
            text = f"Token exchange failed: {error}"
            self._response.set_result(self._page.failed(text))
            raise LoginFailedError(text) from None
        try:
            await save(LoggedIn(granted, claims, api_key))
        except OSError as error:
            self._response.set_result(self._page.failed(f"Unable to persist auth file: {error.strerror or error}"))
            raise LoginFailedError(NOT_SAVED) from None
        self._response.set_result(self._page.saved(granted.id_token, claims))

    async def close(self) -> None:
        """Free the port; after a success once the browser has loaded the last page."""
        try:
            if not self._response.done():
                self._response.set_result(self._page.failed(NOT_COMPLETED))
            elif self._page.is_saved:
                async with asyncio.timeout(LINGER):
                    await self._shown.wait()
        except TimeoutError:
            return
        finally:
            await self._server.close()

    async def _handle(self, request: PageRequest) -> PageResponse:
        answer = self._page.receive(request)
        if self._page.is_served:
            self._shown.set()
        if isinstance(answer, PageResponse):
            return answer
        if self._code.done():
            return self._page.failed(NOT_COMPLETED)
        if isinstance(answer, LoginEnded):
            self._code.set_exception(LoginFailedError(answer.error))
            return answer.response
        self._code.set_result(answer.code)
        return await asyncio.shield(self._response)


class DeviceFlow:
    """A login with a code that the user enters on another machine."""

    timeout_s = 2 * DEVICE_TIMEOUT  # `run` ends before, with its own text

    def __init__(self, issuer: Issuer, code: DeviceCode, rules: LoginRules) -> None:
        self._issuer = issuer
        self._rules = rules
        self._device = code
        self.url = f"{issuer.endpoints.issuer}/codex/device"
        self.user_code: str | None = code.user_code

    @classmethod
    async def open(cls, issuer: Issuer, rules: LoginRules = ANY_LOGIN) -> Self:
        """Get a code from the issuer. Raises `IssuerError`."""
        return cls(issuer, await issuer.request_device_code(), rules)

    async def run(self, save: Save) -> None:
        """Wait until the user has entered the code, exchange it and save the tokens."""
        try:
            async with asyncio.timeout(DEVICE_TIMEOUT):
                grant = await self._entered()
        except TimeoutError:
            raise LoginFailedError("device auth timed out after 15 minutes") from None
        except IssuerError as error:
            raise LoginFailedError(str(error)) from None
        await self._exchange(grant, save)

    async def close(self) -> None:
        """Do nothing: no port is held."""

    async def _entered(self) -> DeviceGrant:
        while True:
            grant = await self._issuer.poll_device(self._device)
            if grant is not None:
                return grant
            await asyncio.sleep(self._device.interval)

    async def _exchange(self, grant: DeviceGrant, save: Save) -> None:
        redirect = f"{self._issuer.endpoints.issuer}/deviceauth/callback"
        try:
            granted = await self._issuer.exchange_code(grant.code, redirect, grant.verifier)
            claims = _claims(granted)
        except (IssuerError, TokenFormatError) as error:
            raise LoginFailedError(f"device code exchange failed: {error}") from None
        if objection := self._rules.against_account(claims.account_id):
            raise LoginFailedError(objection)
        try:
            await save(LoggedIn(granted, claims))
        except OSError:
            raise LoginFailedError(NOT_SAVED) from None


def _claims(granted: Granted) -> Claims:
    return read_claims(granted.id_token.reveal())
