"""The command line: what `greenroom` does is chosen here, and done elsewhere."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from protocol.errors import ConfigError, GreenroomError
from protocol.secrecy import is_secret_name
from protocol.version import __version__
from supervisor.doorstep import Doorstep, claim
from supervisor.launch import NURSERY, SPAWNED, Lifeline, launch
from supervisor.limits import Limits
from supervisor.options import ENGINES, LOG_LEVELS, EngineName, ServerOptions
from supervisor.status.commands import add_commands

if TYPE_CHECKING:
    from config.greenroom import CredentialSettings

OUR_WORDS = ("greenroom", "preferred_auth_method", "cli_auth_credentials_store", "forced_")
OSS = ("model_provider=oss", "model=gpt-oss:20b")
"""The settings that `--oss` stands for. A `-c` wins over them."""
FORK_IS_SAFE = sys.platform.startswith("linux")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except GreenroomError as error:
        sys.stderr.write(f"greenroom: {error}\n")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="greenroom", description="A crash-isolated host for Codex conversations.")
    parser.add_argument("--version", action="version", version=f"greenroom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    server = commands.add_parser(
        "mcp-server", help="serve the tools codex and codex-reply on standard input and output"
    )
    server.add_argument(
        "-c", "--config", action="append", default=[], metavar="KEY=VALUE", help="a setting that wins over config.toml"
    )
    server.add_argument("--oss", action="store_true", help="use a model server of this machine, such as Ollama")
    server.add_argument("--engine", choices=ENGINES, help="how processes are started (default: fork on Linux)")
    server.add_argument(
        "--log-level", choices=LOG_LEVELS, help="what goes to standard error (default: $GREENROOM_LOG or warning)"
    )
    server.set_defaults(run=_serve)
    demo = commands.add_parser(
        "demo", help="show a whole conversation against a scripted model, without key or network"
    )
    demo.set_defaults(run=_demo)
    schema = commands.add_parser("schema", help="print JSON Schemas of all that clients and server say to each other")
    schema.set_defaults(run=_schema)
    _add_login(commands)
    add_commands(commands)
    return parser


def _add_login(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    login = commands.add_parser("login", help="log in, for all instances on this home")
    login.add_argument("--device-auth", action="store_true", help="with a code that is entered on any machine")
    login.add_argument("--with-api-key", action="store_true", help="with an API key that is read from standard input")
    login.add_argument("what", nargs="?", choices=("status",), help="tell who is logged in instead")
    login.set_defaults(run=_login)
    logout = commands.add_parser("logout", help="forget the login")
    logout.add_argument("--revoke", action="store_true", help="tell the issuer too, which ends the browser's session")
    logout.set_defaults(run=_logout)


def _login(arguments: argparse.Namespace) -> int:
    from runtime import hardening
    from supervisor.auth import login_command
    from supervisor.auth.login_rules import LoginRules
    from supervisor.auth.store import open_store

    hardening.make_undumpable()
    environment, home = _environment()
    settings = _credential_settings(home)
    store = open_store(home, settings.cli_auth_credentials_store)
    rules = LoginRules(settings.forced_login_method, settings.forced_chatgpt_workspace_id)
    if arguments.what == "status":
        return login_command.login_status(store, environment, rules, settings.preferred_auth_method)
    if arguments.with_api_key:
        return login_command.login_with_api_key(store, sys.stdin, rules)
    if arguments.device_auth:
        return login_command.login_with_device_code(store, environment, rules)
    return login_command.login_with_browser(store, environment, rules)


def _logout(arguments: argparse.Namespace) -> int:
    from runtime import hardening
    from supervisor.auth import login_command
    from supervisor.auth.store import open_store

    hardening.make_undumpable()
    environment, home = _environment()
    store = open_store(home, _credential_settings(home).cli_auth_credentials_store)
    return login_command.logout(store, environment, with_revocation=arguments.revoke)


def _credential_settings(home: str) -> "CredentialSettings":
    """Return what a command goes by. Raises `ConfigError`, also where a command could have no effect."""
    from config.greenroom import credential_settings

    settings = credential_settings(home)
    if settings.cli_auth_credentials_store == "ephemeral":
        raise ConfigError("credentials are kept by each server alone (`cli_auth_credentials_store`); log in through it")
    return settings


def _demo(_: argparse.Namespace) -> int:
    from supervisor.demo.walkthrough import run

    return run()


def _schema(_: argparse.Namespace) -> int:
    from supervisor.schema import run

    return run()


def _serve(arguments: argparse.Namespace) -> int:
    """Start the nursery, answer what the client has said already, and only then import what the rest needs."""
    descriptors = claim()
    environment, home = _environment()
    secrets = {name: value for name, value in environment.items() if is_secret_name(name) and as_text(value) == value}
    options = _options(arguments, environment, home)
    bare = {name: value for name, value in environment.items() if not is_secret_name(name)}
    statement = NURSERY if options.engine == "fork" else SPAWNED
    start = partial(launch, statement, bare, Lifeline.create())
    nursery = start() if options.engine == "fork" else None

    from supervisor.front import Front

    doorstep = Doorstep(descriptors)
    front = Front(doorstep.write, environment, options.session_tools)
    doorstep.answer_waiting(front.receive)

    from supervisor import server

    server.run(options, server.Provisions(descriptors, environment, secrets, nursery, start), front, doorstep)
    return 0


def _environment() -> tuple[Mapping[str, str], str]:
    from config.home import codex_home, load_dotenv

    home = codex_home(os.environ)
    if as_text(home) != home:
        raise ConfigError(f"CODEX_HOME is not valid UTF-8: {as_text(home)}")
    return load_dotenv(home, os.environ), home


def _options(arguments: argparse.Namespace, environment: Mapping[str, str], home: str) -> ServerOptions:
    overrides = (*(OSS if arguments.oss else ()), *(as_text(override) for override in arguments.config))
    defaults = ServerOptions(codex_home=home, engine=arguments.engine or _default_engine(), config_overrides=overrides)
    level = arguments.log_level or _level(environment)
    if not _concerns_us(home, overrides):
        return ServerOptions(home, defaults.engine, overrides, log_level=level)
    from config.greenroom import server_settings

    try:
        table, credentials = server_settings(home, overrides)
    except ConfigError as error:  # told again, with its own call, to every conversation that needs the file
        sys.stderr.write(f"greenroom: {error}; going on with defaults\n")
        return ServerOptions(home, defaults.engine, overrides, log_level=level)
    return ServerOptions(
        home,
        engine=arguments.engine or table.engine or _default_engine(),
        config_overrides=overrides,
        idle_workers=table.idle_workers,
        session_tools=table.session_tools,
        events=table.events,
        preferred_auth=credentials.preferred_auth_method,
        credentials_store=credentials.cli_auth_credentials_store,
        forced_login=credentials.forced_login_method,
        forced_workspaces=credentials.forced_chatgpt_workspace_id,
        log_level=level,
        limits=Limits(
            park_after=table.park_after_s,
            live_workers=table.live_workers,
            known_at_rest=table.known_at_rest,
            open_calls=table.open_calls,
            queued_turns=table.queued_turns,
            worker_memory=table.worker_memory_mb * 1024 * 1024,
            approval_patience=table.approval_timeout_s,
            task_after=table.task_after_s,
            hang_after=table.hang_after_s,
        ),
    )


def as_text(value: str) -> str:
    """Return what the operating system gave us with the replacement character for bytes that are no UTF-8."""
    return os.fsencode(value).decode("utf-8", "replace")


def _default_engine() -> EngineName:
    return "fork" if FORK_IS_SAFE else "spawn"


def _level(environment: Mapping[str, str]) -> str:
    level = environment.get("GREENROOM_LOG", "").lower()
    return level if level in LOG_LEVELS else "warning"


def _concerns_us(home: str, overrides: Sequence[str]) -> bool:
    """Tell whether a setting of ours can be there at all: reading them properly takes longer than the handshake."""
    if any(word in override for override in overrides for word in OUR_WORDS):
        return True
    try:
        with open(os.path.join(home, "config.toml"), encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return False
    return any(word in text for word in OUR_WORDS)


if __name__ == "__main__":
    sys.exit(main())
