"""Gives bearers of MCP servers to workers, and renews expired ones: each renewal is shared by all requests.

A worker gets access tokens only, and only of servers that the configuration names. A renewal runs in a task of its own,
under a lock that all instances on the home share, and its result is stored before it is used.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Sequence
from typing import Final

from greenroom.broker.clock import Clock
from greenroom.broker.mcp_login.issuer import DeadLoginError, exchange_refresh_token, find_issuer
from greenroom.broker.mcp_login.metadata import is_safe
from greenroom.broker.mcp_login.record import Login, RegisteredClient, credential_key
from greenroom.broker.mcp_login.store import LoginsStore
from greenroom.broker.storage.locks import locked
from greenroom.config.mcp_logins import McpLogins, mcp_logins
from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.internal.broker.answers import AuthError, McpBearer
from greenroom.protocol.internal.broker.questions import GetMcpBearer
from greenroom.runtime.files.filelock import LockTimeoutError

log = logging.getLogger(__name__)

LOCKS: Final = "mcp-oauth-locks"
"""The directory of the locks, the same as Codex's."""
TIMEOUT: Final = 60.0
"""Seconds that another instance may hold a lock."""
FORCED_PAUSE: Final = 60.0
"""Seconds after a renewal in which the refusal of its bearer causes no other renewal."""


class McpKeeper:
    """The logins of MCP servers of one broker."""

    def __init__(self, home: str, config_overrides: Sequence[str], clock: Clock) -> None:
        self._home = home
        self._overrides = tuple(config_overrides)
        self._clock = clock
        self._stores: dict[str, LoginsStore] = {}
        self._refreshes: dict[str, asyncio.Task[AuthError | None]] = {}
        self._renewed_at: dict[str, float] = {}
        """Serial of a bearer → monotonic time of the renewal that it is from."""
        self._dead: set[str] = set()
        """Fingerprints of refresh tokens that an issuer has permanently refused."""

    async def bearer(self, question: GetMcpBearer) -> McpBearer | AuthError:
        """Return the bearer of a server, after a renewal where it needs one."""
        try:
            store = self._store_for(question)
        except ConfigError as error:
            return AuthError(code="not_found", user_text=str(error))
        if store is None:
            return AuthError(code="not_found", user_text=f"no MCP server `{question.server}` is configured like this")
        try:
            return await self._bearer(question, store)
        except GreenroomError as error:
            return AuthError(code="store_malformed", user_text=str(error))

    async def close(self, timeout_s: float) -> None:
        """Let renewals under way finish: their refresh tokens are spent."""
        if self._refreshes:
            await asyncio.wait(self._refreshes.values(), timeout=timeout_s)

    def _store_for(self, question: GetMcpBearer) -> LoginsStore | None:
        configured: McpLogins = mcp_logins(self._home, self._overrides)
        server = configured.servers.get(question.server)
        if server is None or not server.enabled or not server.can_log_in or server.url != question.url:
            return None
        if not is_safe(question.url, question.url):
            return None  # a bearer is not sent without TLS, whatever program has stored the login
        kind = configured.settings.mcp_oauth_credentials_store
        return self._stores.setdefault(kind, LoginsStore(self._home, kind))

    async def _bearer(self, question: GetMcpBearer, store: LoginsStore) -> McpBearer | AuthError:
        key = credential_key(question.server, question.url)
        login = await asyncio.to_thread(store.read, key, anew=False)
        if login is None or not (login.access_token or login.refresh_token):
            return AuthError(code="signed_out", user_text=f"log in with `{_command(question)}`")
        if not self._must_renew(login, question):
            return _told(login)
        if self._is_refused_again(login, question):
            text = f"its bearer was refused right after it was renewed; log in again with `{_command(question)}`"
            return AuthError(code="reauth_required", user_text=text)
        if (failure := await asyncio.shield(self._join(key, question, store))) is not None:
            return failure
        login = await asyncio.to_thread(store.read, key)
        if login is None:
            return AuthError(code="signed_out", user_text=f"log in with `{_command(question)}`")
        if login.serial == question.rejected:
            return AuthError(code="transient", user_text="its bearer is refused and was not renewed")
        return _told(login)

    def _must_renew(self, login: Login, question: GetMcpBearer) -> bool:
        return not login.lasts(self._clock.wall()) or login.serial == question.rejected

    def _is_refused_again(self, login: Login, question: GetMcpBearer) -> bool:
        renewed_at = self._renewed_at.get(login.serial)
        is_refused = login.serial == question.rejected
        return is_refused and renewed_at is not None and self._clock.monotonic() - renewed_at < FORCED_PAUSE

    def _join(self, key: str, question: GetMcpBearer, store: LoginsStore) -> "asyncio.Task[AuthError | None]":
        task = self._refreshes.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._run(key, question, store), name=f"renew-{key}")
            self._refreshes[key] = task
            task.add_done_callback(lambda _: self._refreshes.pop(key, None))
        return task

    async def _run(self, key: str, question: GetMcpBearer, store: LoginsStore) -> AuthError | None:
        directory = os.path.join(self._home, LOCKS)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            name = f"{hashlib.sha256(key.encode()).hexdigest()}.lock"
            async with locked(directory, name, TIMEOUT):
                return await self._renew(key, question, store)
        except LockTimeoutError as error:
            return AuthError(code="transient", user_text=str(error))
        except DeadLoginError as error:
            text = f"its login is not valid any more ({error}); log in again with `{_command(question)}`"
            return AuthError(code="reauth_required", user_text=text)
        except (GreenroomError, OSError) as error:
            log.warning("the login of the MCP server %r could not be renewed: %s", question.server, error)
            return AuthError(code="transient", user_text=f"its login could not be renewed: {error}")

    async def _renew(self, key: str, question: GetMcpBearer, store: LoginsStore) -> AuthError | None:
        login = await asyncio.to_thread(store.read, key)
        if login is None or not self._must_renew(login, question):
            return None  # another instance, or a logout, was faster
        spent = login.refresh_token
        if not spent:
            text = f"its login has run out or was withdrawn; log in again with `{_command(question)}`"
            return AuthError(code="reauth_required", user_text=text)
        mark = hashlib.sha256(spent.reveal().encode()).hexdigest()
        if mark in self._dead:
            raise DeadLoginError("the authorization server has refused to renew it")
        client = login.client or await _found(login, question.url)
        try:
            grant = await exchange_refresh_token(client, spent)
        except DeadLoginError:
            self._dead.add(mark)
            raise
        fresh = login.renewed(grant, self._clock.wall())
        await store.write(key, fresh)
        now = self._clock.monotonic()
        self._renewed_at = {serial: at for serial, at in self._renewed_at.items() if now - at < FORCED_PAUSE}
        self._renewed_at[fresh.serial] = now
        return None


async def _found(login: Login, url: str) -> RegisteredClient:
    """Find the issuer of a login that Codex has made."""
    resource, server, _ = await find_issuer(url)
    return RegisteredClient(server.token_endpoint, server.issuer, login.client_id, resource=resource.resource)


def _told(login: Login) -> McpBearer:
    return McpBearer(token=login.access_token.reveal(), serial=login.serial)


def _command(question: GetMcpBearer) -> str:
    return f"greenroom mcp login {question.server}"
