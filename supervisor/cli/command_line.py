"""The command line: chooses what `greenroom` does; other modules do it."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, get_args

from greenroom.protocol.choices import AttachMode
from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.version import __version__
from greenroom.supervisor.cli.status.commands import CommandParser, add_commands
from greenroom.supervisor.command_words import APP_SERVER, CONFIG_FLAGS, EXEC, GENERATE_SCHEMA, SERVER
from greenroom.supervisor.options import ENGINES, LOG_FORMATS, LOG_LEVELS, STDIO, UNIX
from greenroom.supervisor.startup.prelaunch import Prelaunch, environment_and_home, split_settings

if TYPE_CHECKING:
    from greenroom.config.tables.greenroom import CredentialSettings
    from greenroom.supervisor.cli.reference.command_table import Command

VERSION, JSON = "--version", "--json"
SHELLS = ("bash", "fish", "zsh")
"""Shells for which there is a completion."""


def run(words: Sequence[str], prelaunch: Prelaunch | None = None) -> int:
    """Run the command of the command line, and return the exit status.

    `prelaunch` is what was started in advance. Raises `SystemExit` for invalid arguments.
    """
    if {*words} == {VERSION, JSON}:
        return _version()
    settings, rest = split_settings(words)
    try:
        if rest[:1] == [EXEC]:
            return _exec(rest[1:], settings, prelaunch)
        parser = command_parser(rest[0] if rest else "")
        arguments = parser.parse_args(words)
        if arguments.version_json:
            parser.error(f"{JSON} before a command belongs to {VERSION}")
        arguments.prelaunch = prelaunch
        status: int = arguments.run(arguments)
    except GreenroomError as error:
        sys.stderr.write(f"greenroom: {error}\n")
        return 1
    return status


def command_table() -> "Command":
    """Return the commands as a table, for completions and manual pages."""
    from greenroom.supervisor.cli.exec import arguments
    from greenroom.supervisor.cli.reference import command_table

    return command_table.table_of_parser(command_parser(), {EXEC: arguments.make_parser()})


def command_parser(word: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command line whose command is `word`; the commands that serve need no other."""
    parser = argparse.ArgumentParser(prog="greenroom", description="A crash-isolated host for Codex conversations.")
    parser.add_argument(
        VERSION, action="version", version=f"greenroom {__version__}", help="print the version, and end"
    )
    parser.add_argument(JSON, action="store_true", dest="version_json", help="with --version: what it speaks, too")
    parser.add_argument(*CONFIG_FLAGS, action="append", default=[], dest="early_config", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command", parser_class=CommandParser)
    if (add_only := _SERVERS.get(word)) is not None:
        add_only(commands)
        return parser
    _add_server(commands)
    _add_app_server(commands)
    host = _add(commands, "serve", "serve many clients at a socket, until it is stopped")
    host.add_argument("--http", metavar="[HOST:]PORT", help="serve MCP over HTTP too (default: greenroom.http.listen)")
    host.add_argument("--replace", action="store_true", help="take over from the host that runs, if one does")
    host.add_argument("--background", action="store_true", help="return once it serves, and go on in the background")
    _add_server_options(host)
    host.set_defaults(run=_serve_host)
    _add(commands, EXEC, "run one turn, as `codex exec` does, and end")  # reads its words itself
    demo = _add(commands, "demo", "show a whole conversation against a scripted model, without key or network")
    demo.set_defaults(run=_demo)
    schema = _add(commands, "schema", "print JSON Schemas of all that clients and server say to each other")
    schema.set_defaults(run=_schema)
    _add_node(commands)
    completion = _add(commands, "completion", "print a completion of these commands for a shell")
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, fish or zsh")
    completion.set_defaults(run=_completion)
    _add_login(commands)
    _add_doctor(commands)
    _add_dashboard(commands)
    _add_mcp(commands)
    add_commands(commands)
    return parser


def _add(commands: "argparse._SubParsersAction[CommandParser]", name: str, text: str) -> CommandParser:
    """Add a command. Its help begins with what the list of commands says of it."""
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _add_server(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    server = _add(commands, SERVER, "serve the tools codex and codex-reply on standard input and output")
    _add_server_options(server)
    _add_attach(server)
    server.set_defaults(run=_serve_stdio)


def _add_server_options(server: argparse.ArgumentParser) -> None:
    server.add_argument(
        *CONFIG_FLAGS, action="append", default=[], metavar="KEY=VALUE", help="a setting that wins over config.toml"
    )
    server.add_argument("--oss", action="store_true", help="use a model server of this machine, such as Ollama")
    server.add_argument("--engine", choices=ENGINES, help="how processes are started (default: fork on Linux)")
    server.add_argument(
        "--log-level", choices=LOG_LEVELS, help="what goes to standard error (default: $GREENROOM_LOG or warning)"
    )
    server.add_argument(
        "--log-format", choices=LOG_FORMATS, help="lines on standard error (default: $GREENROOM_LOG_FORMAT or text)"
    )


def _add_attach(server: argparse.ArgumentParser) -> None:
    modes = "where a host runs (auto), never (off), or always (require, as without a value)"
    server.add_argument(
        "--attach", nargs="?", const="require", choices=get_args(AttachMode), help=f"join a host: {modes}"
    )


def _add_app_server(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    server = _add(commands, APP_SERVER, "serve the protocol of `codex app-server`, for its SDKs and editors")
    server.add_argument(
        "--listen",
        default=STDIO,
        type=_address,
        metavar="ADDRESS",
        help="where clients are: stdio:// (the default), or unix://[PATH] for many, over WebSocket",
    )
    _add_server_options(server)
    _add_attach(server)
    server.set_defaults(run=_serve_app)
    tools = server.add_subparsers(metavar="COMMAND")
    schema = _add(tools, GENERATE_SCHEMA, "write JSON Schemas of the messages instead of serving")
    schema.add_argument("--out", required=True, metavar="DIR", help="where to, one file for each message")
    schema.add_argument("--experimental", action="store_true", help="accepted, and changes nothing")
    schema.set_defaults(run=_app_server_schema)


_SERVERS: Final = {SERVER: _add_server, APP_SERVER: _add_app_server}
"""The commands that a client waits for. To describe all others takes longer than to read the line."""


def _add_node(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    node = _add(commands, "node", "run workers on this machine for a host on another one")
    node.add_argument("--join", metavar="tcp://ADDRESS:PORT", help="the host (its `greenroom.nodes.listen`)")
    node.add_argument("--ticket", metavar="FILE", help="made on the host by `greenroom node ticket`; good once")
    node.add_argument("--name", metavar="NAME", help="what it is called, where its ticket is for a pool: POOL-…")
    node.add_argument("--state", metavar="DIR", help="its key and log (default: ~/.local/state/greenroom-node)")
    node.add_argument("--capacity", type=int, default=100, metavar="N", help="workers that it takes (default: 100)")
    node.add_argument("--log-level", choices=LOG_LEVELS, help="what goes to standard error (default: warning)")
    node.add_argument(
        "--doctor", nargs="*", metavar="DIR", help="only tell what is wrong here, and with directories to work in"
    )
    node.add_argument("--json", action="store_true", help="with --doctor: print it for programs")
    # Of a node that an engine places (`greenroom.supervisor.node.placed`); nobody types them.
    node.add_argument("--placed", metavar="NAME", help=argparse.SUPPRESS)
    node.add_argument("--host-key", metavar="KEY", default="", help=argparse.SUPPRESS)
    node.add_argument("--alone", type=float, default=0.0, metavar="SECONDS", help=argparse.SUPPRESS)
    node.set_defaults(run=_node)
    deeds = node.add_subparsers(metavar="COMMAND")
    ticket = _add(deeds, "ticket", "make a ticket for a node, on the host")
    ticket.add_argument("name", metavar="NAME", help="what the node will be called, or the pool")
    ticket.add_argument("--pool", type=int, metavar="N", help="for N nodes of a pool, which are called NAME-…")
    ticket.add_argument("--minutes", type=int, default=10, metavar="N", help="how long it is good (default: 10)")
    ticket.add_argument("--output", metavar="FILE", help="where to write it (default: .nodes.NAME.ticket in the home)")
    ticket.set_defaults(run=_node_ticket)
    revoke = _add(deeds, "revoke", "forget the key of a node, on the host")
    revoke.add_argument("name", metavar="NAME", help="as `greenroom status` shows it, or a pool for all its nodes")
    revoke.set_defaults(run=_node_revoke)


def _node(arguments: argparse.Namespace) -> int:
    if arguments.doctor is not None:
        from greenroom.supervisor.cli.doctor.command import run_on_node

        return run_on_node(arguments)
    from greenroom.supervisor.node.command import run_node

    return run_node(arguments)


def _node_ticket(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.node.command import make_ticket

    return make_ticket(arguments)


def _node_revoke(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.node_revocation import revoke_node_key

    return revoke_node_key(arguments)


def _add_login(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    login = _add(commands, "login", "log in, for all instances on this home")
    login.add_argument("--device-auth", action="store_true", help="with a code that is entered on any machine")
    login.add_argument("--with-api-key", action="store_true", help="with an API key that is read from standard input")
    login.add_argument("what", nargs="?", choices=("status",), help="tell who is logged in instead")
    login.set_defaults(run=_login)
    logout = _add(commands, "logout", "forget the login")
    logout.add_argument("--revoke", action="store_true", help="tell the issuer too, which ends the browser's session")
    logout.set_defaults(run=_logout)


def _add_mcp(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    servers = _add(commands, "mcp", "log in to MCP servers of config.toml, for all instances on this home")
    deeds = servers.add_subparsers(required=True, metavar="COMMAND")
    login = _add(deeds, "login", "log in to a server, in a browser")
    login.add_argument("name", help="as in mcp_servers")
    login.add_argument("--scopes", default="", metavar="SCOPE,SCOPE", help="rights to ask for instead of the usual")
    login.set_defaults(run=_mcp_login)
    logout = _add(deeds, "logout", "forget the login of a server")
    logout.add_argument("name", help="as in mcp_servers")
    logout.set_defaults(run=_mcp_logout)
    listing = _add(deeds, "list", "tell which servers there are, and which of them are logged in to")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_mcp_list)


def _add_doctor(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    doctor = _add(commands, "doctor", "tell what is wrong with the surroundings, and what to do")
    doctor.add_argument("--json", action="store_true", help="print it for programs (schema version 1)")
    doctor.add_argument("--all", action="store_true", help="with the details of all checks")
    doctor.add_argument("--summary", action="store_true", help="only what is not well")
    doctor.add_argument("--online", action="store_true", help="ask the package index for the latest version too")
    doctor.add_argument(
        *CONFIG_FLAGS, action="append", default=[], metavar="KEY=VALUE", help="a setting that wins over config.toml"
    )
    doctor.set_defaults(run=_doctor)


def _add_dashboard(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    dashboard = _add(commands, "dashboard", "serve a page that shows running instances, on this machine")
    dashboard.add_argument("--instance", type=int, metavar="PID", help="only the one whose supervisor has this pid")
    dashboard.add_argument("--port", type=_port, default=0, metavar="PORT", help="where (default: any that is free)")
    dashboard.add_argument("--control", action="store_true", help="let the page interrupt, kill, stop and drain")
    dashboard.set_defaults(run=_dashboard)


def _port(text: str) -> int:
    """Return a TCP port. Raises `ArgumentTypeError`."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 0 to 65535")
    return int(text)


def _dashboard(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.dashboard.command import run

    return run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.doctor.command import run

    return run(arguments)


def _mcp_login(arguments: argparse.Namespace) -> int:
    from greenroom.runtime.process import hardening
    from greenroom.supervisor.cli import mcp_login
    from greenroom.supervisor.cli.login_attempt import open_browser

    hardening.make_undumpable()
    _, home = environment_and_home()
    scopes = [scope for scope in arguments.scopes.split(",") if scope]
    return mcp_login.log_in(home, arguments.name, scopes, open_url=open_browser)


def _mcp_logout(arguments: argparse.Namespace) -> int:
    from greenroom.runtime.process import hardening
    from greenroom.supervisor.cli import mcp_login

    hardening.make_undumpable()
    return mcp_login.mcp_logout(environment_and_home()[1], arguments.name)


def _mcp_list(arguments: argparse.Namespace) -> int:
    from greenroom.runtime.process import hardening
    from greenroom.supervisor.cli import mcp_login

    hardening.make_undumpable()
    return mcp_login.show_list(environment_and_home()[1], as_json=arguments.json)


def _login(arguments: argparse.Namespace) -> int:
    from greenroom.broker.credential.rules import LoginRules
    from greenroom.broker.storage.store import open_store
    from greenroom.runtime.process import hardening
    from greenroom.supervisor.cli import login as login_command
    from greenroom.supervisor.cli.login_attempt import open_browser

    hardening.make_undumpable()
    environment, home = environment_and_home()
    settings = _credential_settings(home)
    store = open_store(home, settings.cli_auth_credentials_store)
    rules = LoginRules(settings.forced_login_method, settings.forced_chatgpt_workspace_id)
    if arguments.what == "status":
        return login_command.login_status(store, environment, rules, settings.preferred_auth_method)
    if arguments.with_api_key:
        return login_command.login_with_api_key(store, sys.stdin, rules)
    if arguments.device_auth:
        return login_command.login_with_device_code(store, environment, rules)
    return login_command.login_with_browser(store, environment, rules, open_url=open_browser)


def _logout(arguments: argparse.Namespace) -> int:
    from greenroom.broker.storage.store import open_store
    from greenroom.runtime.process import hardening
    from greenroom.supervisor.cli import login as login_command

    hardening.make_undumpable()
    environment, home = environment_and_home()
    store = open_store(home, _credential_settings(home).cli_auth_credentials_store)
    return login_command.logout(store, environment, with_revocation=arguments.revoke)


def _credential_settings(home: str) -> "CredentialSettings":
    """Return the settings of a login command. Raises `ConfigError`, also where the command could have no effect."""
    from greenroom.config.tables.greenroom import credential_settings

    settings = credential_settings(home)
    if settings.cli_auth_credentials_store == "ephemeral":
        raise ConfigError("credentials are kept by each server alone (`cli_auth_credentials_store`); log in through it")
    return settings


def _exec(words: Sequence[str], settings: Sequence[str], prelaunch: Prelaunch | None) -> int:
    from greenroom.supervisor.cli.exec.command import run

    return run(words, settings, prelaunch)


def _demo(_: argparse.Namespace) -> int:
    from greenroom.demo.walkthrough import run_walkthrough

    return run_walkthrough()


def _schema(_: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.schema import run

    return run()


def _app_server_schema(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.app_server_schema import run

    return run(arguments.out)


def _address(text: str) -> str:
    """Return an address that clients may be at. Raises `ArgumentTypeError`."""
    if text != STDIO and not text.startswith(UNIX):
        raise argparse.ArgumentTypeError(f"{text!r} is neither stdio:// nor unix://[PATH]")
    return text


def _serve_app(arguments: argparse.Namespace) -> int:
    if arguments.listen == STDIO:
        return _serve_stdio(arguments)
    from greenroom.supervisor.startup.app_server_socket import serve_app_server

    arguments.config = [*arguments.early_config, *arguments.config]
    return _ended(serve_app_server(arguments, arguments.prelaunch))


def _version() -> int:
    from greenroom.supervisor.cli.reference import version

    return version.run()


def _completion(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.reference.completion import run

    return run(arguments.shell, command_table())


def _serve_stdio(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.startup import attach

    assignments = [*arguments.early_config, *arguments.config]
    others = attach.options_besides(assignments)
    others += [name for name, value in (("--oss", arguments.oss), ("--engine", arguments.engine)) if value]
    abort = int if arguments.prelaunch is None else arguments.prelaunch.abort
    mode = attach.mode_given(arguments.attach, assignments)
    status = attach.join_host(arguments.command, mode, others, abort)
    if status is not None:
        return status
    from greenroom.supervisor.startup.start import start

    arguments.config = assignments
    start(arguments, arguments.prelaunch)
    return _ended(0)


def _serve_host(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.startup.serve import serve

    return _ended(serve(arguments))


def _ended(status: int) -> int:
    """End the process, or return its status where nothing is left in it."""
    from greenroom.supervisor.startup.last_threads import end_despite_threads

    end_despite_threads(status)
    return status
