"""Checks of the MCP servers: their tables, and for each whether it starts, lists its tools and stops."""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Final, Literal

from msgspec.structs import replace

from greenroom.broker.mcp_login.record import credential_key
from greenroom.broker.mcp_login.store import LoginsStore, LoginStoreError
from greenroom.config.mcp_logins import mcp_logins
from greenroom.config.settings import Settings
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.events.event import Event
from greenroom.protocol.internal.broker.answers import AuthError, McpBearer
from greenroom.runtime.search_path import absolute_path
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.formatting import counted
from greenroom.workers.mcp.servers import McpServers, ServerContext, load_client
from greenroom.workers.mcp.tools.naming import is_server_name
from greenroom.workers.mcp.transport.launch import StartupError
from greenroom.workers.model.credentials.channel import CredentialError

MOST: Final = 32
"""Servers that are started; more are only counted."""


async def config(context: CheckContext) -> Finding:
    """Look at the tables without starting anything: values, names, programs and variables."""
    settings = await context.shared(settings_of)
    enabled = {name: server for name, server in settings.mcp_servers.items() if server.enabled}
    problems = [
        Problem("warning", f"the MCP server `{name}` is left out: {fault}", f"Correct `[mcp_servers.{name}]`.")
        for name, fault in settings.faulty_mcp_servers.items()
    ]
    for name, server in enabled.items():
        problems += _of_table(name, server, context)
    off = [name for name, server in settings.mcp_servers.items() if not server.enabled]
    details: dict[str, Detail] = {"servers": list(enabled)} if enabled else {}
    if off:
        details["switched off"] = off
    well = f"{counted(len(enabled), 'MCP server')} can be started as configured" if enabled else "none is configured"
    return combined_finding(problems, well, details)


async def servers(context: CheckContext) -> Finding:
    """Start every server as a conversation would, list its tools, and stop it. No tool is called."""
    settings = await context.shared(settings_of)
    enabled = [(name, server) for name, server in settings.mcp_servers.items() if server.enabled]
    usable = [(name, server) for name, server in enabled if _is_complete(name, server, context)]
    if not usable:
        return Finding("ok", "no MCP server to be started")
    limit = context.patience.mcp
    try:
        await load_client()  # takes a second, which is no server's fault
    except StartupError as error:
        return Finding("fail", str(error), {}, "Install greenroom again, with all that it depends on.")
    outcomes = await asyncio.gather(*(_try(name, server, settings, context) for name, server in usable[:MOST]))
    problems = [problem for _, problem in outcomes if problem is not None]
    details: dict[str, Detail] = {name: text for (name, _), (text, _) in zip(usable, outcomes, strict=False)}
    if len(usable) > MOST:
        details["not started"] = [name for name, _ in usable[MOST:]]
    details["limit"] = f"{limit:g} s for each"
    return combined_finding(
        problems, f"{counted(len(outcomes), 'MCP server')} started, listed tools and stopped", details
    )


def _of_table(name: str, server: McpServer, context: CheckContext) -> list[Problem]:
    table = f"`[mcp_servers.{name}]`"
    if not is_server_name(name):
        text = f"the MCP server `{name}` has a name with other characters than letters, digits, - and _"
        return [Problem("warning", text, f"Rename {table}.")]
    if server.command is not None and _program(server, context) is None:
        text = f"the program `{server.command}` of the MCP server `{name}` cannot be found"
        remedy = f"Install it, or give its absolute path in {table}; relative entries of PATH are not searched."
        return [Problem(_severity(server), text, remedy)]
    if _missing_token(server, context):
        text = f"the variable `{server.bearer_token_env_var}`, which should hold the token of `{name}`, is not set"
        return [Problem(_severity(server), text, "Set it in the environment of the server, or in `.env` of the home.")]
    return []


def _severity(server: McpServer) -> Literal["warning", "fail"]:
    return "fail" if server.required else "warning"


def _is_complete(name: str, server: McpServer, context: CheckContext) -> bool:
    return not _of_table(name, server, context)


def _program(server: McpServer, context: CheckContext) -> str | None:
    command = str(server.command)
    path = absolute_path(server.env.get("PATH") or context.environment.get("PATH"))
    if os.sep in command and not os.path.isabs(command):
        return shutil.which(os.path.join(context.cwd, server.cwd or "", command))
    return context.machine.which(command, path)


def _missing_token(server: McpServer, context: CheckContext) -> bool:
    variable = server.bearer_token_env_var
    return variable is not None and not context.environment.get(variable, "").strip()


async def _try(name: str, server: McpServer, settings: Settings, context: CheckContext) -> tuple[str, Problem | None]:
    """Return what to tell of a server, and what is wrong with it."""
    limit = context.patience.mcp
    is_cut = server.startup_timeout > limit
    bounded = replace(
        server, required=False, startup_timeout_ms=None, startup_timeout_sec=min(limit, server.startup_timeout)
    )
    hosted = McpServers({name: bounded}, _context(settings, context))
    begun = time.monotonic()
    try:
        await hosted.ready()
        status = hosted.states[name]
        tools = len(hosted.definitions())
    finally:
        await hosted.close()
    seconds = time.monotonic() - begun
    if status.state == "ready":
        return f"{counted(tools, 'tool')} after {seconds:.1f} s", None
    fault = status.error or "it did not start in time"
    if is_cut and (status.state == "starting" or "timed out" in fault):
        wait = f"conversations wait for {server.startup_timeout:g} s"
        text = f"the MCP server `{name}` was not ready after {limit:g} s; {wait}"
    else:
        text = f"the MCP server `{name}` does not start: {fault}"
    return fault, Problem(_severity(server), text, _remedy(name, server))


def _remedy(name: str, server: McpServer) -> str:
    if server.url is not None:
        login = f", or log in with `greenroom mcp login {name}`" if server.can_log_in else ""
        return f"Check `url` of `[mcp_servers.{name}]`, and that its server runs{login}."
    return f"Run the command of `[mcp_servers.{name}]` by hand to see why, or set `enabled = false` there."


def _context(settings: Settings, context: CheckContext) -> ServerContext:
    environment = context.environment

    async def variables(names: tuple[str, ...]) -> Mapping[str, str]:
        return {name: environment[name] for name in names if name in environment}

    return ServerContext(
        variables=variables,
        environment=environment,
        cwd=settings.cwd,
        emit=_drop,
        bearer=partial(_bearer, context),
        wire=settings.provider.wire_api,
        notice_after=context.patience.mcp * 10,
    )


def _drop(_: Event) -> Awaitable[None] | None:
    """Drop an event: there is no client."""
    return None


async def _bearer(context: CheckContext, name: str, url: str, rejected: str | None) -> McpBearer:
    """Return the token of a login as it is stored. Nothing is renewed. Raises `CredentialError`."""

    def read() -> McpBearer | None:
        kind = mcp_logins(context.home).settings.mcp_oauth_credentials_store
        login = LoginsStore(context.home, kind).read(credential_key(name, url))
        if login is None or not login.lasts(context.machine.now()):
            return None
        return McpBearer(token=login.access_token.reveal(), serial=login.serial)

    try:
        found = await in_thread(read)
    except LoginStoreError as error:
        raise CredentialError(AuthError(code="not_found", user_text=str(error))) from None
    if found is None or found.serial == rejected:
        raise CredentialError(AuthError(code="not_found"))
    return found
