"""The start of a server, up to its loop: first the fork server, then the handshake, then everything slow."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from greenroom.protocol.choices import EngineName
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.secrecy import is_secret_name
from greenroom.runtime.log.log_format import VARIABLE, format_in
from greenroom.runtime.process.launch import FORK_SERVER, SPAWNED, launch
from greenroom.supervisor.command_words import APP_SERVER
from greenroom.supervisor.frontend.descriptors import take_over_stdio
from greenroom.supervisor.options import LOG_LEVELS, ServerOptions
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer
from greenroom.supervisor.startup.prelaunch import FORK_IS_SAFE, Prelaunch, as_text, without_secrets
from greenroom.supervisor.startup.provisions import Provisions

if TYPE_CHECKING:
    from greenroom.config.tables.greenroom import GreenroomTable
    from greenroom.config.tables.nodes import NodesTable
    from greenroom.config.tables.otel import OtelTable
    from greenroom.supervisor.frontend.connection import FrontEnd

OUR_WORDS = ("greenroom", "otel", "preferred_auth_method", "cli_auth_credentials_store", "forced_")
OSS = ("model_provider=oss", "model=gpt-oss:20b")
"""The settings that `--oss` stands for. A `-c` overrides them."""


def start(arguments: argparse.Namespace, prelaunch: Prelaunch | None) -> None:
    """Serve as the command line says, with what was launched before, if anything. Returns at the end.

    What the client has sent already is answered before the remaining imports. Raises `GreenroomError`.
    """
    descriptors = take_over_stdio()
    prelaunch = prelaunch or Prelaunch.prepare()
    options = server_options(arguments, prelaunch.environment, prelaunch.home)
    provisions = provide(options, prelaunch)
    buffer = HandshakeBuffer(descriptors)
    front, services = (_app_server if arguments.command == APP_SERVER else _mcp_server)(options, provisions, buffer)
    buffer.answer_waiting(front.receive)

    from greenroom.supervisor.startup import server

    server.run_server(options, provisions, descriptors, front, buffer, services)


def _mcp_server(options: ServerOptions, provisions: Provisions, buffer: HandshakeBuffer) -> "tuple[FrontEnd, str]":
    """Return the front end of an MCP client, and the module that it needs in `attach`."""
    from greenroom.supervisor.frontend.mcp.front import SERVICES, Front

    return Front(buffer.write, provisions.environment, options.session_tools, options.approval_tools), SERVICES


def _app_server(options: ServerOptions, provisions: Provisions, buffer: HandshakeBuffer) -> "tuple[FrontEnd, str]":
    """Return the same for a client of the app-server protocol."""
    from greenroom.supervisor.frontend.app_server.front import SERVICES, AppServerFront

    return AppServerFront(buffer.write, provisions.environment, options.codex_home), SERVICES


def provide(options: ServerOptions, prelaunch: Prelaunch) -> Provisions:
    """Return what the server's processes are started with, and start the fork server where it is wanted."""
    environment = prelaunch.environment
    secrets = {name: value for name, value in environment.items() if is_secret_name(name) and as_text(value) == value}
    form = {} if format_in(environment) == options.log_format else {VARIABLE: options.log_format}
    more, spawn = (
        partial(launch, statement, without_secrets({**environment, **form}), prelaunch.lifeline)
        for statement in (FORK_SERVER, SPAWNED)
    )
    forks = options.engine == "fork"
    if not forks:
        prelaunch.abort()
    fork_server = (prelaunch.fork_server or more()) if forks else None
    return Provisions(environment, secrets, fork_server, more, spawn)


def server_options(arguments: argparse.Namespace, environment: Mapping[str, str], home: str) -> ServerOptions:
    """Return the options of a server, from the command line and the table `[greenroom]`."""
    overrides = (*(OSS if arguments.oss else ()), *(as_text(override) for override in arguments.config))
    defaults = ServerOptions(codex_home=home, engine=arguments.engine or _default_engine(), config_overrides=overrides)
    level, form = arguments.log_level or _level(environment), arguments.log_format or format_in(environment)
    if not _concerns_us(home, overrides):
        return ServerOptions(home, defaults.engine, overrides, log_level=level, log_format=form)
    from greenroom.config.tables.greenroom import server_settings

    try:
        table, credentials = server_settings(home, overrides)
    except ConfigError as error:  # reported again, in its own call, to every conversation that needs the file
        sys.stderr.write(f"greenroom: {error}; going on with defaults\n")
        return ServerOptions(home, defaults.engine, overrides, log_level=level, log_format=form)
    return ServerOptions(
        home,
        engine=arguments.engine or table.engine or _default_engine(),
        config_overrides=overrides,
        idle_workers=table.idle_workers,
        session_tools=table.session_tools,
        approval_tools=table.approval_tools,
        events=table.events,
        preferred_auth=credentials.preferred_auth_method,
        credentials_store=credentials.cli_auth_credentials_store,
        forced_login=credentials.forced_login_method,
        forced_workspaces=credentials.forced_chatgpt_workspace_id,
        log_level=level,
        log_format=form,
        limits=table.limits(),
        compress_sessions_after_days=table.compress_sessions_after_days,
        delete_sessions_after_days=table.delete_sessions_after_days,
        http=table.http,
        nodes=_nodes(table),
        metrics_listen=table.metrics_listen,
        metrics_users=table.metrics_users,
        otel=_otel(home, overrides),
    )


def _nodes(table: "GreenroomTable") -> "NodesTable | None":
    """Return what is set about nodes. Raises `ConfigError`."""
    if not table.nodes:
        return None
    from greenroom.config.section import check
    from greenroom.config.tables.nodes import NodesTable

    return check(NodesTable, table.nodes, ("greenroom", "nodes"))


def _otel(home: str, overrides: Sequence[str]) -> "OtelTable | None":
    """Return what is to be sent to collectors; an error in that costs nothing else."""
    from greenroom.config.tables.otel import otel_settings

    try:
        table = otel_settings(home, overrides)
    except ConfigError as error:
        sys.stderr.write(f"greenroom: {error}; no telemetry is sent\n")
        return None
    return table if table.is_on else None


def _default_engine() -> EngineName:
    return "fork" if FORK_IS_SAFE else "spawn"


def _level(environment: Mapping[str, str]) -> str:
    level = environment.get("GREENROOM_LOG", "").lower()
    return level if level in LOG_LEVELS else "warning"


def _concerns_us(home: str, overrides: Sequence[str]) -> bool:
    """Tell whether a setting of the server may be there: to parse the file takes longer than the handshake."""
    if any(word in override for override in overrides for word in OUR_WORDS):
        return True
    try:
        with open(os.path.join(home, "config.toml"), encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return False
    return any(word in text for word in OUR_WORDS)
