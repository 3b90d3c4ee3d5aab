"""`greenroom sessions`: the saved conversations of the Codex home, as a list or one of them as text."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec
from msgspec.structs import asdict
from rich.text import Text

from greenroom.config.home import codex_home
from greenroom.protocol.display import clean, clean_lines
from greenroom.protocol.errors import ConfigError, SessionFileError, SessionUnknownError
from greenroom.runtime.process import identity
from greenroom.sessions import index as session_index
from greenroom.sessions.index import SavedState, SessionEntry
from greenroom.sessions.records.passage import Passage, Speaker
from greenroom.sessions.selection import select
from greenroom.supervisor.cli.output import UntilReaderLeaves, refuse
from greenroom.supervisor.cli.status.diagnostics import DEGRADED, NOTHING, WELL
from greenroom.supervisor.cli.status.formatting import age, amount
from greenroom.supervisor.cli.status.session_choice import ChoiceError, choose_session, selection
from greenroom.supervisor.cli.status.session_export import as_markdown, whole, write_out
from greenroom.supervisor.cli.status.status import find_instances
from greenroom.supervisor.cli.status.table import Column, lay_out
from greenroom.supervisor.cli.status.terminal import Printer

_COLUMNS: Final = (
    Column("ID", 0),
    Column("CHANGED", 1, right=True),
    Column("OPEN IN", 1),
    Column("STATE", 6),
    Column("TOKENS", 4, right=True),
    Column("MODEL", 5, least=8),
    Column("DIRECTORY", 3, least=12),
    Column("TITLE", 2, least=16),
)
_SAID: Final[Mapping[SavedState, str]] = {"failed": "failed", "aborted": "aborted", "unfinished": "unfinished"}
"""The states that the table has; the others can be seen, or are what is expected."""
_FORMS: Final[Mapping[Speaker, tuple[str, str]]] = {
    "user": ("you    ", "bold"),
    "agent": ("agent  ", ""),
    "reasoning": ("thinks ", "dim"),
    "call": ("calls  ", "dim"),
    "output": ("       ", "dim"),
}
"""Margin and style of each kind of passage."""


def run_list(arguments: Namespace) -> int:
    """List saved conversations, the newest first."""
    home = _home()
    if home is None:
        return NOTHING
    found = islice(select(home, selection(arguments)), arguments.limit or None)
    with UntilReaderLeaves():
        return _print_json(found) if arguments.json else _print_table(list(found), home)
    return WELL


def run_show(arguments: Namespace) -> int:
    """Print one conversation."""
    home = _home()
    if home is None:
        return NOTHING
    try:
        name = choose_session(home, arguments.conversation)
        if arguments.markdown:
            return write_out(as_markdown(whole(home, name)))
        told = session_index.passages_of(home, name.path)
    except ChoiceError as error:
        return refuse(NOTHING, str(error))
    except (SessionFileError, SessionUnknownError) as error:
        return refuse(DEGRADED, str(error))
    with UntilReaderLeaves():
        Printer(sys.stdout).print([line for passage in told for line in _lines(passage)])
    return WELL


class _Holders:
    """The processes that have conversations open: running instances, and other programs."""

    def __init__(self) -> None:
        self._instances = {one.instance.pid for one in find_instances(None)}

    def instance(self, entry: SessionEntry) -> int | None:
        """Return the pid of the instance of which a process has the conversation open."""
        above = () if entry.writer is None else identity.ancestors(entry.writer)
        return next((pid for pid in above if pid in self._instances), None)

    def text(self, entry: SessionEntry) -> str:
        """Return the text of the table."""
        if entry.writer is None:
            return ""
        pid = self.instance(entry)
        return f"process {entry.writer}" if pid is None else f"instance {pid}"


def _print_json(found: Iterator[SessionEntry]) -> int:
    holders = _Holders()
    for entry in found:
        path = entry.path.encode("utf-8", "replace").decode()
        told = {"version": 1, **asdict(entry), "path": path, "state": entry.state, "instance": holders.instance(entry)}
        del told["outcome"]
        sys.stdout.write(json.dumps(msgspec.to_builtins(told)) + "\n")
    return WELL


def _print_table(found: list[SessionEntry], home: str) -> int:
    if not found:
        return refuse(WELL, f"there are no saved conversations in {home}")
    printer = Printer(sys.stdout)
    now, holders = time.time(), _Holders()
    printer.print(lay_out(_COLUMNS, [_row(entry, now, holders) for entry in found], printer.columns))
    return WELL


def _row(entry: SessionEntry, now: float, holders: _Holders) -> list[str]:
    return [
        entry.id,
        f"{age(now - entry.changed_at)} ago",
        clean(holders.text(entry)),
        _SAID.get(entry.state, ""),
        "" if entry.tokens is None else amount(entry.tokens),
        clean(entry.model or ""),
        clean(entry.cwd or ""),
        clean(entry.title or (f"(unreadable: {entry.fault})" if entry.fault else "")),
    ]


def _lines(passage: Passage) -> Iterator[Text]:
    margin, style = _FORMS[passage.speaker]
    for number, text in enumerate(clean_lines(passage.text.strip("\n"))):
        yield Text(f"{margin if number == 0 else ' ' * len(margin)}{text}".rstrip(), style)
    if passage.speaker in ("agent", "output"):
        yield Text()


def _home() -> str | None:
    try:
        return codex_home(os.environ)
    except ConfigError as error:
        refuse(NOTHING, str(error))
        return None
