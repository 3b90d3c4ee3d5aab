"""The one login that may be under way. It always ends with exactly one `LoginComplete`."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from greenroom.broker.credential.claims import Claims
from greenroom.broker.credential.record import AuthRecord, Tokens
from greenroom.broker.token_issuer.client import Granted
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.broker.answers import LoginStarted
from greenroom.protocol.internal.broker.broadcasts import LoginComplete
from greenroom.protocol.internal.broker.questions import LoginStart
from greenroom.protocol.secrecy import Secret

log = logging.getLogger(__name__)

NOT_COMPLETED: Final = "Login was not completed"
TIMED_OUT: Final = "Login timed out"


class LoggedIn(msgspec.Struct, frozen=True):
    """The result of a login."""

    granted: Granted
    claims: Claims
    api_key: Secret | None = None


Save: TypeAlias = Callable[[LoggedIn], Awaitable[object]]
"""Writes the credentials to the store. Raises `OSError`."""


class LoginFailedError(GreenroomError):
    """The login failed. The text says why."""


class Flow(Protocol):
    """One login. Cancelling `run` ends it: nothing is saved afterwards."""

    url: str
    user_code: str | None
    timeout_s: float
    """Seconds that the user has."""

    async def run(self, save: Save) -> None:
        """Return once the credentials are saved. Raises `LoginFailedError` and `TimeoutError`."""

    async def close(self) -> None:
        """Let the browser load the last page, and free the port."""


OpenFlow: TypeAlias = Callable[[], Awaitable[Flow]]
"""Begins a login. Raises `GreenroomError`."""


class _Login(msgspec.Struct, frozen=True):
    id: str
    work: asyncio.Task[None]
    """Waits for the user. Cancelling it ends the login."""
    life: asyncio.Task[None]
    """Awaits `work` and completes the login."""


class Logins:
    """At most one login."""

    def __init__(
        self, flows: Mapping[str, OpenFlow], save: Save, ended: Callable[[LoginComplete], Awaitable[None]]
    ) -> None:
        self._flows = flows
        self._save = save
        self._ended = ended
        self._active: _Login | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, question: LoginStart) -> LoginStarted:
        """Begin a login; one that is under way ends first. Raises `GreenroomError`."""
        async with self._starting:
            await self.cancel()
            flow = await self._flows[question.method]()
            login_id = str(uuid.uuid4())
            loop = asyncio.get_running_loop()
            work = loop.create_task(flow.run(self._save), name="login")
            self._active = _Login(login_id, work, loop.create_task(self._follow(login_id, flow, work)))
        return LoginStarted(login_id=login_id, url=flow.url, user_code=flow.user_code)

    async def cancel(self, login_id: str | None = None) -> bool:
        """End the login of an id, or any login; return whether there was one.

        Its port is free on return.
        """
        active = self._active
        found = active is not None and login_id in (None, active.id)
        if found and active is not None:
            active.work.cancel()
            await asyncio.wait({active.life})
        if login_id is None:
            await self._free_ports()
        return found

    async def close(self) -> None:
        """End the login that is under way."""
        await self.cancel()

    async def _follow(self, login_id: str, flow: Flow, work: asyncio.Task[None]) -> None:
        await asyncio.wait({work}, timeout=flow.timeout_s)
        is_late = not work.done()
        if is_late:
            work.cancel()
            await asyncio.wait({work})
        error = TIMED_OUT if is_late and work.cancelled() else _error(work)
        closing = asyncio.get_running_loop().create_task(flow.close(), name="login-page")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        if error is not None:
            await asyncio.wait({closing})
        self._active = None
        await self._ended(LoginComplete(login_id=login_id, success=error is None, error=error))

    async def _free_ports(self) -> None:
        """Close the page of a login that has ended, to free its port."""
        for task in list(self._closing):
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)


def record_of(logged_in: LoggedIn, now: float, found: AuthRecord | None) -> AuthRecord:
    """Return the record of a login; of the previous one, only unknown members are kept."""
    granted = logged_in.granted
    tokens = Tokens(
        id_token=granted.id_token.reveal(),
        access_token=granted.access_token.reveal(),
        refresh_token=granted.refresh_token.reveal(),
        account_id=logged_in.claims.account_id,
    )
    api_key = None if logged_in.api_key is None else logged_in.api_key.reveal()
    return AuthRecord.of_login(tokens, api_key, now, found)


def _error(work: asyncio.Task[None]) -> str | None:
    """Return the error text of a login that has ended; `None` for a success."""
    if work.cancelled():
        return f"Login server error: {NOT_COMPLETED}"
    failure = work.exception()
    if failure is None:
        return None
    if not isinstance(failure, LoginFailedError):
        log.error("a login broke off", exc_info=failure)
        return f"Login server error: {NOT_COMPLETED}"
    return f"Login server error: {failure}"
