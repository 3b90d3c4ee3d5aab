"""`greenroom mcp login`, `logout` and `list`: work on the store itself, without a server.

Each function returns the exit status. Messages for the user go to standard error, the list to standard output.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from greenroom.broker.mcp_login.issuer import revoke_token
from greenroom.broker.mcp_login.logins import McpLoginSession, server_to_log_in
from greenroom.broker.mcp_login.record import credential_key
from greenroom.broker.mcp_login.store import LoginsStore
from greenroom.config.mcp_logins import mcp_logins
from greenroom.config.tables.servers import McpServer
from greenroom.supervisor.cli.login_attempt import attempt, tell

TIMEOUT: Final = 300.0
"""Seconds that the user has to finish in the browser."""


def log_in(home: str, name: str, scopes: Sequence[str] = (), *, open_url: Callable[[str], object] | None = None) -> int:
    """Log in to a server. `open_url` opens a browser; the address is shown in any case."""

    async def run() -> int:
        session = await McpLoginSession.open(home, name, scopes)
        try:
            tell(f"Open this address if no browser opens by itself:\n\n{session.url}\n")
            if open_url is not None:
                await asyncio.to_thread(open_url, session.url)
            async with asyncio.timeout(TIMEOUT):
                await session.complete()
        finally:
            await session.close()
        tell(f"Successfully logged in to MCP server '{name}'.")
        return 0

    return attempt(run(), "Error")


def mcp_logout(home: str, name: str) -> int:
    """Remove the login of a server, and revoke its token."""

    async def run() -> int:
        configured = mcp_logins(home)
        server = server_to_log_in(configured, name)
        store = LoginsStore(home, configured.settings.mcp_oauth_credentials_store)
        key = credential_key(name, str(server.url))
        held = store.read(key)
        removed = await store.remove(key)
        if held is not None and held.client is not None:
            await revoke_token(held.client, held.refresh_token or held.access_token, "refresh_token")
        tell(f"Removed the login of '{name}'." if removed else f"There is no login of '{name}'.")
        return 0

    return attempt(run(), "Error")


def show_list(home: str, *, as_json: bool = False) -> int:
    """Print the servers, and the state of their logins."""

    async def run() -> int:
        configured = mcp_logins(home)
        store = LoginsStore(home, configured.settings.mcp_oauth_credentials_store)
        rows = [_row(name, server, store) for name, server in configured.servers.items()]
        if as_json:
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        elif rows:
            for row in rows:
                state = "enabled" if row["enabled"] else "disabled"
                sys.stdout.write(f"{row['name']}\t{row['address']}\t{state}\t{row['auth_status']}\n")
        else:
            tell("No MCP servers are configured.")
        return 0

    return attempt(run(), "Error")


def _row(name: str, server: McpServer, store: LoginsStore) -> dict[str, object]:
    address = server.url or " ".join((str(server.command), *server.args))
    return {"name": name, "address": address, "enabled": server.enabled, "auth_status": _status(name, server, store)}


def _status(name: str, server: McpServer, store: LoginsStore) -> str:
    if server.url is None:
        return "unsupported"
    if not server.can_log_in:
        return "bearer_token"
    found = store.read(credential_key(name, server.url))
    return "not_logged_in" if found is None else "o_auth"
