"""Selects the credential of a provider's requests: its own variable, token or program, or the login.

A login is sent only to a provider that asks for it (`requires_openai_auth`), so that no other server sees it.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import asdict

from greenroom.config.tables.providers import ModelProvider
from greenroom.protocol.errors import UnauthorizedError
from greenroom.protocol.internal.broker.answers import BearerSnapshot, McpBearer, Slot
from greenroom.protocol.internal.broker.questions import TokenCommand
from greenroom.runtime.skew import Skew
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel
from greenroom.workers.model.credentials.credential import Bearer, CredentialsDelayedError

BROKER_TIMEOUT: Final = 2.0
"""Seconds after which a request under a rate limit stops waiting for the broker."""

MARGIN: Final = 30.0
"""Seconds for which a snapshot must remain valid to be reused while the broker is away."""

RECOVERED: Final = frozenset({"newer", "reloaded", "refreshed"})
"""Outcomes of a rejected access token after which another one may be tried at once."""


class ProviderCredentials:
    """Gets the access token for every attempt (`greenroom.workers.model.credentials.credential.Credentials`)."""

    def __init__(self, provider: ModelProvider, open_channel: Callable[[], CredentialsChannel]) -> None:
        self._provider = provider
        self._open_channel = open_channel
        self._channel: CredentialsChannel | None = None
        self._last: BearerSnapshot | None = None
        self._identity: str | None = None
        self._serial: int | None = None
        """Serial of the last token from the provider's program."""
        self._refused: int | None = None
        self._skew = Skew()

    def begin_turn(self) -> None:
        """Let the next attempt determine the account of this turn."""
        self._identity = None

    async def bearer(self) -> Bearer:
        """Return the access token for the next attempt. Raises `UnauthorizedError` or `CredentialsDelayedError`."""
        provider = self._provider
        if provider.env_key is not None:
            key = (await self.variables((provider.env_key,))).get(provider.env_key, "").strip()
            if key:
                return Bearer(key)
            if not provider.requires_openai_auth:
                raise UnauthorizedError(_missing(provider.env_key, provider.env_key_instructions))
        if provider.experimental_bearer_token is not None:
            return Bearer(provider.experimental_bearer_token)
        if provider.auth is not None:
            return Bearer(await self._token_of(TokenCommand(**asdict(provider.auth))), renewable=True)
        if provider.requires_openai_auth:
            return await self._login()
        return Bearer(None, mode="none")

    async def rejected(self, bearer: Bearer, status: int) -> bool:  # noqa: ARG002 - it is the last that was served
        """Report a rejected login, and return whether another one can be tried. A program is simply run again."""
        if self._provider.auth is not None:
            self._refused = self._serial
            return True
        if self._last is None:
            return False
        refused, self._last = self._last, None
        try:
            channel = await self._connected()
            report = await channel.report_unauthorized(refused, status)
        except CredentialError as error:
            raise _delayed(error) from error
        if report.outcome == "transient":
            wait = _seconds(report.retry_after_ms)
            raise CredentialsDelayedError("the credential was refused and could not be renewed", wait)
        if report.outcome not in RECOVERED and report.user_text is not None:
            raise UnauthorizedError(report.user_text)
        return report.outcome in RECOVERED

    def answered(self, bearer: Bearer, date: str | None) -> None:
        """Tell the broker if, according to the server that gets the login, this machine's clock is wrong."""
        if date is None or not bearer.is_chatgpt or self._channel is None:
            return
        if self._skew.observe(date, time.time()):
            self._channel.report_clock(self._skew.ahead)

    async def variables(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return variables of the environment in which the user started the server, including secret ones."""
        own = {name: os.environ[name] for name in names if name in os.environ}
        withheld = [name for name in names if name not in own]
        if not withheld:
            return own
        try:
            channel = await self._connected()
            return own | await channel.get_environment(withheld)
        except CredentialError as error:
            raise _delayed(error) from error

    async def mcp_bearer(self, server: str, url: str, rejected: str | None = None) -> McpBearer:
        """Return the access token of an MCP server to which the user has logged in. Raises `CredentialError`."""
        return await (await self._connected()).get_mcp_bearer(server, url, rejected)

    @property
    def knows_limits(self) -> bool:
        """Whether any rate limit is known."""
        return self._channel is not None and bool(self._channel.limited)

    def is_limited(self, key: str) -> bool:
        """Whether a rate limit is known under which requests wait for their turn."""
        return self._channel is not None and key in self._channel.limited

    async def slot(self, key: str, ticket: int, patience: float) -> Slot | None:
        """Ask for the turn of a request; `None` if the broker does not answer."""
        try:
            async with asyncio.timeout(BROKER_TIMEOUT + patience):
                return await (await self._connected()).get_slot(key, ticket, patience)
        except (CredentialError, TimeoutError):
            return None

    async def report_limited(self, key: str, ticket: int, serial: int, wait: float | None) -> None:
        """Report a rate limit to all conversations."""
        with suppress(CredentialError, TimeoutError):
            async with asyncio.timeout(BROKER_TIMEOUT):
                (await self._connected()).report_limited(key, ticket, serial, wait)

    def leave_queue(self, key: str, ticket: int) -> None:
        """Give up the turn of a request."""
        if self._channel is not None:
            self._channel.leave_queue(key, ticket)

    async def _connected(self) -> CredentialsChannel:
        if self._channel is None:
            channel = self._open_channel()
            await channel.start()
            self._channel = channel
        return self._channel

    async def _token_of(self, command: TokenCommand) -> str:
        try:
            channel = await self._connected()
            served = await channel.get_provider_token(command, rejected=self._refused)
        except CredentialError as error:
            raise _delayed(error) from error
        self._serial, self._refused = served.serial, None
        return served.token

    async def _login(self) -> Bearer:
        snapshot = self._last_of_turn() or await self._current()
        self._last = snapshot
        self._identity = snapshot.identity_key
        return Bearer(
            snapshot.token,
            account_id=snapshot.account_id,
            mode=snapshot.mode,
            renewable=snapshot.mode == "chatgpt",
        )

    async def _current(self) -> BearerSnapshot:
        try:
            channel = await self._connected()
            return await channel.get_auth(pin_identity=self._identity)
        except CredentialError as error:
            raise _delayed(error) from error

    def _last_of_turn(self) -> BearerSnapshot | None:
        """Return the token of the turn's last attempt, if the broker is away and the server has not rejected it."""
        last = self._last
        if self._channel is None or not self._channel.is_lost or last is None or self._identity is None:
            return None
        return last if last.expires_at is None or last.expires_at - self._now() > MARGIN else None

    def _now(self) -> float:
        return time.time() - self._skew.ahead


def _delayed(error: CredentialError) -> Exception:
    return CredentialsDelayedError(str(error), _seconds(error.error.retry_after_ms)) if error.retryable else error


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _missing(name: str, instructions: str | None) -> str:
    text = f"Missing environment variable: `{name}`."
    return f"{text} {instructions}" if instructions else text
