"""How long session files are kept as they are: compressed after a time without a change, and deleted after another.

Neither happens unless it is set. A file that a process has open is left for the next time, and so is one that holds the
beginning of a fork.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from greenroom.config.reader import Reader
from greenroom.protocol.errors import GreenroomError, SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.files import filelock
from greenroom.sessions import shelf
from greenroom.sessions.storage import lineage
from greenroom.sessions.storage.finder import SessionName, list_archived, list_sessions, path_of
from greenroom.sessions.storage.packed import SUFFIX

log = logging.getLogger(__name__)

DAY: Final = 86_400.0
LOCK: Final = ".greenroom-retention.lock"
"""The file of the home whose modification time is that of the last run, and whose lock the running process holds."""
PAUSE: Final = 20 * 3600.0
"""Seconds after which it is done again; instances look once a day."""

RetentionAct: TypeAlias = Literal["compress", "delete"]


class Retention(msgspec.Struct, frozen=True):
    """Days since the last change, after which a file is compressed or deleted; 0: never."""

    job: ClassVar[str] = "apply-retention"

    compress_after_days: int = 0
    delete_after_days: int = 0

    @property
    def is_set(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.compress_after_days or self.delete_after_days)


class AgedFile(NamedTuple):
    """A session file, and the time of its last change in seconds since the epoch."""

    name: SessionName
    changed_at: float


class RetentionStep(NamedTuple):
    """What is to be done to a file."""

    act: RetentionAct
    file: AgedFile


class RetentionResult(msgspec.Struct):
    """What was done."""

    compressed: int = 0
    deleted: int = 0
    saved: int = 0
    """Bytes that compressing has saved."""
    left: int = 0
    """Files that were in use, or could not be changed."""


def plan_retention(
    files: Iterable[AgedFile], retention: Retention, now: float, origins: Collection[ConversationId] = ()
) -> Iterator[RetentionStep]:
    """Yield what is to be done at a time. `origins` hold the beginnings of other conversations, and are kept."""
    for file in files:
        age = now - file.changed_at
        if _is_over(age, retention.delete_after_days) and file.name.conversation_id not in origins:
            yield RetentionStep("delete", file)
        elif _is_over(age, retention.compress_after_days) and not file.name.path.endswith(SUFFIX):
            yield RetentionStep("compress", file)


def due(home: str, retention: Retention, now: float) -> list[RetentionStep]:
    """Return what is to be done to the files of a home."""
    if not retention.is_set:
        return []
    kept: Collection[ConversationId] = ()
    if retention.delete_after_days:
        try:
            kept = fork_origins(home)
        except SessionFileError as error:
            log.warning("%s", error)
            retention = replace(retention, delete_after_days=0)
    return list(plan_retention(_aged(home), retention, now, kept))


def fork_origins(home: str) -> dict[ConversationId, set[ConversationId]]:
    """Return the conversations that hold the beginnings of others, with these.

    Raises `SessionFileError` where that cannot be told of a file: its beginning may be in any other.
    """
    reader = Reader(home)
    found: dict[ConversationId, set[ConversationId]] = {}
    for name in _names(home):
        try:
            origin = lineage.session_origin(reader, name.path)
        except (FileNotFoundError, SessionFileError):  # moved or removed meanwhile, or not to be continued anyway
            continue
        except OSError as error:
            raise SessionFileError(f"{name.path} cannot be read ({error.strerror}), so no file is deleted") from error
        if origin is not None:
            found.setdefault(origin, set()).add(name.conversation_id)
    return found


def delete_unless_forked(home: str, conversation_id: ConversationId) -> None:
    """Remove the file of a conversation, listed or archived, unless it holds the beginning of others.

    Raises `SessionUnknownError`, `SessionBusyError` or `SessionFileError`.
    """
    path_of(home, conversation_id)
    if others := fork_origins(home).get(conversation_id):
        forks = ", ".join(sorted(others))
        raise SessionFileError(f"thread {conversation_id} holds the beginning of {forks}: delete them first")
    shelf.delete(home, conversation_id)


def apply_steps(
    home: str, steps: Iterable[RetentionStep], is_stopped: Callable[[], bool] = lambda: False
) -> RetentionResult:
    """Do what is to be done, unless a file is in use or has changed since. What fails is logged and left."""
    result = RetentionResult()
    for step in steps:
        if is_stopped():
            break
        try:
            _take(home, step, result)
        except GreenroomError as error:
            log.info("%s was left as it is: %s", step.file.name.path, error)
            result.left += 1
    return result


def apply_daily(home: str, retention: Retention, is_stopped: Callable[[], bool]) -> RetentionResult | None:
    """Do all that is due, unless it was done less than `PAUSE` ago or is being done. Raises `OSError`."""
    with filelock.opened(os.path.join(home, LOCK)) as lock:
        if not filelock.try_lock(lock):
            return None
        now = time.time()
        facts = os.fstat(lock)
        if facts.st_size and 0 <= now - facts.st_mtime < PAUSE:
            return None
        result = apply_steps(home, due(home, retention, now), is_stopped)
        if not is_stopped():  # else another run does the rest
            os.pwrite(lock, b"\n", 0)  # an empty file is one that was just made
            os.utime(lock)
        return result


def _take(home: str, step: RetentionStep, result: RetentionResult) -> None:
    conversation_id, changed_at = step.file.name.conversation_id, step.file.changed_at
    if step.act == "delete":
        shelf.delete(home, conversation_id, changed_at)
        result.deleted += 1
    else:
        result.saved += shelf.compress(home, conversation_id, changed_at)
        result.compressed += 1


def _is_over(age: float, days: int) -> bool:
    return days > 0 and age >= days * DAY


def _names(home: str) -> Iterator[SessionName]:
    return chain(list_sessions(home), list_archived(home))


def _aged(home: str) -> Iterator[AgedFile]:
    for name in _names(home):
        try:
            yield AgedFile(name, os.stat(name.path, follow_symlinks=False).st_mtime)
        except OSError:  # it has just been moved or removed
            continue
