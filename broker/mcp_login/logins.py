"""The logins of MCP servers that clients have begun: each ends once, with its result told to the supervisor."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from greenroom.broker.clock import Clock
from greenroom.broker.login.server import PortsTakenError
from greenroom.broker.mcp_login.flow import McpLoginFlow
from greenroom.broker.mcp_login.record import Login, RegisteredClient, TokenGrant, credential_key
from greenroom.broker.mcp_login.store import LoginsStore
from greenroom.config.mcp_logins import McpLogins, mcp_logins
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.internal.broker.answers import AuthError, LoginStarted
from greenroom.protocol.internal.broker.broadcasts import McpLoginComplete
from greenroom.protocol.internal.broker.questions import McpLoginStart

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Logins that may be under way: each has a port."""
OPEN_TIMEOUT: Final = 30.0
"""Seconds in which the servers have to have said where the user logs in."""
TIMED_OUT: Final = "timed out waiting for the browser"
INTERRUPTED: Final = "the login was broken off"


def server_to_log_in(configured: McpLogins, name: str) -> McpServer:
    """Return the table of a server that has a login. Raises `ConfigError`."""
    server = configured.servers.get(name)
    if server is None:
        known = ", ".join(f"`{known}`" for known in configured.servers) or "none"
        raise ConfigError(f"No MCP server named '{name}' found; there are {known}")
    if server.url is None:
        raise ConfigError(f"'{name}' is a program; only servers with a `url` have a login")
    if not server.can_log_in:
        raise ConfigError(f"'{name}' is configured with a token; remove that from its table to log in")
    return server


class McpLoginSession:
    """One login: `open` it, show its `url`, `complete` and `close` it."""

    def __init__(self, home: str, name: str, configured: McpLogins, flow: McpLoginFlow) -> None:
        self._home = home
        self._name = name
        self._configured = configured
        self._flow = flow
        self.url = flow.url

    @classmethod
    async def open(
        cls, home: str, name: str, scopes: Sequence[str] = (), cli_overrides: Sequence[str] = ()
    ) -> "McpLoginSession":
        """Begin the login of a configured server. Raises `ConfigError` where it has none, else `GreenroomError`."""
        configured = mcp_logins(home, cli_overrides)
        settings = configured.settings
        flow = await McpLoginFlow.open(
            server_to_log_in(configured, name),
            scopes,
            settings.mcp_oauth_callback_port,
            settings.mcp_oauth_callback_url,
        )
        return cls(home, name, configured, flow)

    async def complete(self) -> None:
        """Wait for the browser, and store what the login brings. Raises `GreenroomError`."""
        await self._save(*await self._flow.run())

    async def close(self) -> None:
        """Free the port."""
        await self._flow.close()

    async def _save(self, client: RegisteredClient, grant: TokenGrant) -> None:
        url = str(self._configured.servers[self._name].url)
        made = Login.new(self._name, url, client, grant, self._flow.scopes, Clock().wall())
        store = LoginsStore(self._home, self._configured.settings.mcp_oauth_credentials_store)
        await store.write(credential_key(self._name, url), made)


class OpenMcpLogins:
    """Those of one broker. `told` takes how each has ended."""

    def __init__(self, home: str, cli_overrides: Sequence[str], told: Callable[[McpLoginComplete], object]) -> None:
        self._home = home
        self._overrides = tuple(cli_overrides)
        self._told = told
        self._open: dict[asyncio.Task[None], asyncio.Task[None]] = {}
        """What tells of the end of a login → what waits for the user."""
        self._beginning = 0
        """Logins that are being begun."""

    async def start(self, question: McpLoginStart) -> LoginStarted | AuthError:
        """Begin a login, and return the address that the user opens."""
        if len(self._open) + self._beginning >= AT_ONCE:
            return AuthError(code="login_failed", user_text=f"{AT_ONCE} logins of MCP servers are under way")
        self._beginning += 1
        try:
            return await self._begin(question)
        finally:
            self._beginning -= 1

    async def _begin(self, question: McpLoginStart) -> LoginStarted | AuthError:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                session = await McpLoginSession.open(self._home, question.server, question.scopes, self._overrides)
        except ConfigError as error:
            return AuthError(code="not_found", user_text=str(error))
        except TimeoutError:
            return AuthError(code="login_failed", user_text=f"its servers gave no answer within {OPEN_TIMEOUT:g} s")
        except (GreenroomError, PortsTakenError) as error:
            return AuthError(code="login_failed", user_text=str(error))
        loop = asyncio.get_running_loop()
        work = loop.create_task(session.complete(), name="mcp-login")
        life = loop.create_task(self._follow(session, work, question), name="mcp-login-end")
        self._open[life] = work
        life.add_done_callback(self._open.pop)
        return LoginStarted(login_id=question.login_id, url=session.url)

    async def close(self) -> None:
        """Break off those that are under way."""
        for work in self._open.values():
            work.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _follow(self, session: McpLoginSession, work: asyncio.Task[None], question: McpLoginStart) -> None:
        await asyncio.wait({work}, timeout=question.timeout_s)
        is_late = not work.done()
        if is_late:
            work.cancel()
            await asyncio.wait({work})
        error = TIMED_OUT if is_late and work.cancelled() else _error(work)
        await session.close()
        self._told(McpLoginComplete(login_id=question.login_id, success=error is None, error=error))


def _error(work: asyncio.Task[None]) -> str | None:
    """Return why a login failed that has ended; `None` for a success."""
    failure = None if work.cancelled() else work.exception()
    if work.cancelled():
        return INTERRUPTED
    if failure is None:
        return None
    if not isinstance(failure, GreenroomError | OSError):
        log.error("a login of an MCP server broke off", exc_info=failure)
        return INTERRUPTED
    return str(failure)
