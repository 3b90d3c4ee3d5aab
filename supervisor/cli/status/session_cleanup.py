"""`greenroom sessions compress`, `delete` and `prune`: change session files that no process is using."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from greenroom.config.tables.greenroom import server_settings
from greenroom.protocol.display import clean
from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import retention, shelf
from greenroom.sessions.retention import Retention
from greenroom.sessions.selection import Selection, select
from greenroom.sessions.storage.finder import SessionName
from greenroom.sessions.storage.packed import SUFFIX
from greenroom.supervisor.cli.output import complain, refuse, say
from greenroom.supervisor.cli.status.diagnostics import DEGRADED, NOTHING, WELL
from greenroom.supervisor.cli.status.formatting import counted, size
from greenroom.supervisor.cli.status.session_choice import ChoiceError, choose_session, home_of_user, selection

WORKTREES: Final = "worktrees"
"""The directory of the home with the worktrees of conversations, each named by the end of the id."""
_DIGITS: Final = 12


class _Target(NamedTuple):
    """A conversation whose file is to be changed, and the time of the last change that is known."""

    name: SessionName
    changed_at: float
    title: str


def run_compress(arguments: Namespace) -> int:
    """Compress the files of the conversations that are meant, unless they are."""
    return _change(arguments, "compress", _compressor)


def run_delete(arguments: Namespace) -> int:
    """Delete the files of the conversations that are meant."""
    return _change(arguments, "delete", _deleter)


def run_prune(arguments: Namespace) -> int:
    """Do now what servers do once a day where it is set."""
    try:
        home = home_of_user()
        table = server_settings(home, ()).table
    except ConfigError as error:
        return refuse(NOTHING, str(error))
    wanted = Retention(table.compress_sessions_after_days, table.delete_sessions_after_days)
    if not wanted.is_set:
        complain("neither greenroom.compress_sessions_after_days nor greenroom.delete_sessions_after_days is set")
        return WELL
    steps = retention.due(home, wanted, time.time())
    if arguments.dry_run:
        for step in steps:
            say(f"would {step.act} {step.file.name.conversation_id}")
        return WELL
    result = retention.apply_steps(home, steps)
    saved = size(result.saved)
    say(f"{result.deleted} deleted, {result.compressed} compressed (saves {saved}), {result.left} left as they were")
    return DEGRADED if result.left else WELL


_Changer = Callable[[str, _Target], str]
"""Changes the file of a conversation in a home and returns what was done. Raises `GreenroomError`."""


def _change(arguments: Namespace, verb: str, make: Callable[[str], _Changer]) -> int:
    try:
        home = home_of_user()
        targets = _targets(home, arguments)
    except (ConfigError, ChoiceError) as error:
        return refuse(NOTHING, str(error))
    if arguments.dry_run:
        for target in targets:
            say(f"would {verb} {target.name.conversation_id}  {target.title}".rstrip())
        return WELL
    if verb == "delete" and targets and not arguments.yes and not _is_confirmed(targets):
        return NOTHING
    change, status = make(home), WELL
    for target in targets:
        try:
            say(change(home, target))
        except GreenroomError as error:
            status = refuse(DEGRADED, str(error))
    return status


def _targets(home: str, arguments: Namespace) -> list[_Target]:
    wanted = selection(arguments)
    if bool(arguments.conversations) == (wanted != Selection()):
        raise ChoiceError("say which conversations are meant: by their ids, or by the options of `sessions list`")
    if arguments.conversations:
        return [_target(choose_session(home, given)) for given in dict.fromkeys(arguments.conversations)]
    return [
        _Target(SessionName(entry.path, entry.started, entry.id), entry.changed_at, clean(entry.title or ""))
        for entry in select(home, wanted)
    ]


def _target(name: SessionName) -> _Target:
    try:
        return _Target(name, os.stat(name.path, follow_symlinks=False).st_mtime, "")
    except OSError as error:
        raise ChoiceError(f"{name.path}: {error.strerror}") from error


def _is_confirmed(targets: Sequence[_Target]) -> bool:
    """Ask the user; without a terminal the answer is no."""
    what = counted(len(targets), "conversation")
    if not sys.stdin.isatty():
        complain(f"{what} would be deleted; --yes does it, --dry-run lists them")
        return False
    for target in targets:
        say(f"{target.name.conversation_id}  {target.title}".rstrip())
    try:
        return input(f"Delete {what}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _compressor(_: str) -> _Changer:
    def compress(home: str, target: _Target) -> str:
        conversation_id = target.name.conversation_id
        if target.name.path.endswith(SUFFIX):
            return f"{conversation_id} is compressed already"
        saved = shelf.compress(home, conversation_id, target.changed_at)
        return f"compressed {conversation_id}, which saves {size(saved)}"

    return compress


def _deleter(home: str) -> _Changer:
    origins = retention.fork_origins(home)

    def delete(home: str, target: _Target) -> str:
        conversation_id = target.name.conversation_id
        if forks := origins.get(conversation_id):
            raise ChoiceError(f"{conversation_id} holds the beginning of {min(forks)}; delete that first")
        shelf.delete(home, conversation_id, target.changed_at)
        for forks in origins.values():
            forks.discard(conversation_id)
        return f"deleted {conversation_id}{_worktree(home, conversation_id)}"

    return delete


def _worktree(home: str, conversation_id: ConversationId) -> str:
    place = os.path.join(home, WORKTREES, conversation_id[-_DIGITS:])
    return f"; its worktree stays in {clean(place)}" if os.path.isdir(place) else ""
