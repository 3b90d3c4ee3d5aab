"""The commands that look at running instances and at saved conversations, as the command line knows them.

Every start of a server reads this, so it imports nothing of what the commands do.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

EVERY = 2.0
"""Seconds between two pages of `--watch`."""
LISTED = 20
"""Conversations that `sessions list` shows."""
LEAST_ID = 4
"""Characters of an id that have to be given."""


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str, **options: Any) -> argparse.ArgumentParser:  # noqa: A002
        """Add a command."""
        ...


class CommandParser(argparse.ArgumentParser):
    """The parser of one command. It refuses words that it does not know itself, and so with its own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is left over, before the program's own parser does."""
        known, left_over = super().parse_known_args(args, namespace)
        if left_over:
            self.error(f"unrecognized arguments: {' '.join(left_over)}")
        return known, left_over


class _Command(CommandParser):
    """Ends with 1 where the command line is wrong, because 2 says that an instance does not answer."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def add_commands(commands: Commands) -> None:
    """Add `status`, `metrics`, `stop`, `interrupt`, `kill`, `drain`, `approvals`, `approve` and `sessions`."""
    status = _command(commands, "status", "show what every process and conversation is doing", _status)
    _add_instance(status)
    status.add_argument("--json", action="store_true", help="print it for programs (schema version 1)")
    every = f"again and again, every {EVERY:g} s unless said otherwise"
    status.add_argument("--watch", nargs="?", const=EVERY, type=_interval, metavar="SECONDS", help=every)
    _add_instance(_command(commands, "metrics", "print the metrics of running instances, for Prometheus", _metrics))
    stop = _command(commands, "stop", "end an instance as if its client had left", _stop)
    _add_instance(stop)
    stop.add_argument("--force", action="store_true", help="kill it if it does not answer")
    for name, text, run in (
        ("interrupt", "end the turn that a conversation runs", _interrupt),
        ("kill", "kill the process of a conversation, which its next message brings back", _kill),
    ):
        _add_conversation(_command(commands, name, text, run))
    drain = _command(commands, "drain", "let a node leave, once the turns on it have ended", _drain)
    drain.add_argument("node", metavar="NODE", help="its name, as `greenroom status` shows it")
    _add_approvals(commands)
    _add_sessions(commands)


def _add_approvals(commands: Commands) -> None:
    listing = _command(commands, "approvals", "list what waits for a decision of the user", _approvals)
    listing.add_argument("--full", action="store_true", help="at full length")
    listing.add_argument("--json", action="store_true", help="print them for programs, one a line")
    decision = _command(commands, "approve", "decide what waits for a decision of the user", _approve)
    decision.add_argument(
        "approval", type=_part_of_id, metavar="ID", help=f"its id, or {LEAST_ID} characters or more of its end"
    )
    which = decision.add_mutually_exclusive_group()
    for option, text in (
        ("--for-session", "approve the same for the rest of the conversation too"),
        ("--deny", "say no; the agent goes on without it"),
        ("--stop", "say no, and stop the turn"),
    ):
        which.add_argument(option, dest="choice", action="store_const", const=_CHOICES[option], help=text)
    decision.set_defaults(choice="approve")
    decision.add_argument("--note", default="", metavar="TEXT", help="the reason for a no, for the agent")


_CHOICES = {"--for-session": "approve-for-session", "--deny": "deny", "--stop": "stop"}


def _add_sessions(commands: Commands) -> None:
    sessions = _command(
        commands, "sessions", "list, show, export, compress or delete saved conversations", _list_sessions
    )
    sessions.set_defaults(limit=LISTED, json=False, **_NO_FILTER)
    actions = sessions.add_subparsers(metavar="ACTION")
    listing = _command(actions, "list", "list the latest conversations (the default)", _list_sessions)
    listing.add_argument(
        "-n", "--limit", type=_count, default=LISTED, metavar="COUNT", help=f"how many (default: {LISTED}; 0: all)"
    )
    listing.add_argument("--json", action="store_true", help="print them for programs, one a line")
    _add_filter(listing)
    show = _command(actions, "show", "print a conversation", _show_session)
    _add_conversation(show)
    show.add_argument("--markdown", action="store_true", help="all of it, also what the model no longer sees")
    export = _command(actions, "export", "write a conversation to a file", _export_session)
    _add_conversation(export)
    export.add_argument("--format", choices=EXPORTS, default=EXPORTS[0], help=f"default: {EXPORTS[0]}")
    export.add_argument("-o", "--output", metavar="FILE", help="a new file (default: standard output)")
    for name, text, run in (
        ("compress", "compress the files of conversations, which can be read and continued all the same", _compress),
        ("delete", "delete the files of conversations, which cannot be undone", _delete),
    ):
        change = _command(actions, name, text, run)
        which = f"their ids, or {LEAST_ID} characters or more of their beginnings or ends"
        change.add_argument("conversations", type=_part_of_id, nargs="*", metavar="ID", help=which)
        _add_filter(change)
        _add_dry_run(change)
    change.add_argument("-y", "--yes", action="store_true", help="without a question")
    prune = _command(actions, "prune", "compress and delete what the configuration says, now", _prune)
    _add_dry_run(prune)


EXPORTS = ("markdown", "json")
"""Formats of an exported conversation."""
STATES = ("open", "completed", "failed", "aborted", "unfinished", "empty", "unreadable")
"""States of saved conversations (`greenroom.sessions.index.SavedState`)."""
_NO_FILTER: Mapping[str, Any] = {
    "text": "",
    "directory": "",
    "since": None,
    "before": None,
    "state": None,
    "archived": False,
}


def _add_filter(parser: argparse.ArgumentParser) -> None:
    wanted = parser.add_argument_group(
        "which ones", "WHEN is a local time, as 2026-11-29T14:00, or an age, as 90d or 12h."
    )
    wanted.add_argument("--text", default="", help="that say this anywhere, or are named so; in any case of letters")
    wanted.add_argument("--directory", default="", metavar="DIR", help="of this directory, or below it")
    wanted.add_argument("--since", type=_time, metavar="WHEN", help="that have changed since then")
    wanted.add_argument("--before", type=_time, metavar="WHEN", help="that have not changed since then")
    wanted.add_argument("--state", choices=STATES, action="append", help="in this state; may be repeated")
    wanted.add_argument("--archived", action="store_true", help="that were archived, and not the others")


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.__class__ = _Command
    parser.set_defaults(run=run)
    return parser


def _add_instance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--instance", type=int, metavar="PID", help="the one whose supervisor has this process id")


def _add_conversation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "conversation",
        type=_part_of_id,
        metavar="ID",
        help=f"its id, or {LEAST_ID} characters or more of its beginning or end",
    )


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def _part_of_id(text: str) -> str:
    if len(text) < LEAST_ID:
        raise argparse.ArgumentTypeError(f"{text!r} is too short; give {LEAST_ID} characters or more")
    return text.lower()


def _time(text: str) -> float:
    """Return a time in seconds since the epoch."""
    import time
    from datetime import datetime

    if text[:-1].isdecimal() and text[-1:] in _SECONDS:
        return time.time() - int(text[:-1]) * _SECONDS[text[-1]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 2026-11-29T14:00, and no age, as 90d") from None


_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return int(text)


def _status(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.status import run_status

    return run_status(arguments)


def _metrics(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.metrics import run_metrics

    return run_metrics(arguments)


def _stop(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.actions import run_stop

    return run_stop(arguments)


def _interrupt(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.actions import run_interrupt

    return run_interrupt(arguments)


def _kill(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.actions import run_kill

    return run_kill(arguments)


def _drain(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.actions import run_drain

    return run_drain(arguments)


def _approvals(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.approvals import run_approvals

    return run_approvals(arguments)


def _approve(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.approvals import run_approve

    return run_approve(arguments)


def _list_sessions(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.sessions import run_list

    return run_list(arguments)


def _show_session(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.sessions import run_show

    return run_show(arguments)


def _export_session(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.session_export import run_export

    return run_export(arguments)


def _compress(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.session_cleanup import run_compress

    return run_compress(arguments)


def _delete(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.session_cleanup import run_delete

    return run_delete(arguments)


def _prune(arguments: argparse.Namespace) -> int:
    from greenroom.supervisor.cli.status.session_cleanup import run_prune

    return run_prune(arguments)
