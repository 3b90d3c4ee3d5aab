"""Puts session files aside, back, or away for good, and compresses them, under the lock of their conversation.

Packed and plain forms of a file are moved together, since one that is left behind would be listed again.
"""

import math
import os
from collections.abc import Callable
from typing import TypeVar

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionBusyError, SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.directory import make_private, sync
from greenroom.sessions.storage.finder import ARCHIVE, FOLDER, find_archived, find_listed, path_of
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.packed import forms, pack_file, plain_path, present_path

T = TypeVar("T")


def archive(home: str, conversation_id: ConversationId) -> str:
    """Move the file of a conversation to where it is not listed, and return its path there.

    Raises `SessionUnknownError`, `SessionBusyError` where a process has it open, or `SessionFileError`.
    """
    path = find_listed(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    return _change(home, conversation_id, path, lambda form: move(form, os.path.join(home, ARCHIVE)))[0]


def unarchive(home: str, conversation_id: ConversationId) -> str:
    """Move the file back to the directory of its day, and return its path. Raises as `archive` does."""
    path = find_archived(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no archived rollout found for thread id {conversation_id}")
    day = os.path.basename(path).removeprefix("rollout-")[: len("YYYY-MM-DD")].split("-")
    folder = os.path.join(home, FOLDER, *day)
    return _change(home, conversation_id, path, lambda form: move(form, folder))[0]


def delete(home: str, conversation_id: ConversationId, unchanged_since: float = math.inf) -> None:
    """Remove the file of a conversation, listed or archived. Raises as `archive` does.

    One that was written to after `unchanged_since`, in seconds since the epoch, counts as busy.
    """
    _change(home, conversation_id, path_of(home, conversation_id), _remove, unchanged_since)


def compress(home: str, conversation_id: ConversationId, unchanged_since: float = math.inf) -> int:
    """Compress the file of a conversation, listed or archived, and return how many bytes that saves.

    It is 0 where the file is compressed already. Raises as `delete` does.
    """
    reader = Reader(home)

    def pack(form: str) -> int:
        unfinished = os.path.join(os.path.dirname(form), f".{conversation_id}.new")
        return pack_file(reader, form, unfinished) if plain_path(form) == form else 0

    return sum(_change(home, conversation_id, path_of(home, conversation_id), pack, unchanged_since))


def move(path: str, folder: str) -> str:
    """Move a file to a directory, which is made where it is missing, and return its new path. Raises `OSError`."""
    parents = make_private(folder)
    moved = os.path.join(folder, os.path.basename(path))
    os.rename(path, moved)
    for changed in (folder, os.path.dirname(path), *parents):
        sync(changed)
    return moved


def _remove(path: str) -> str:
    os.unlink(path)
    sync(os.path.dirname(path))
    return path


def _change(
    home: str,
    conversation_id: ConversationId,
    path: str,
    act: Callable[[str], T],
    unchanged_since: float = math.inf,
) -> list[T]:
    """Do something to each form of a file under the lock of its writer, and return the results."""
    try:
        lock = WriterLock(home, conversation_id)
    except OSError as error:
        raise SessionFileError(f"{path}: {error.strerror}") from error
    try:
        if os.stat(present_path(path), follow_symlinks=False).st_mtime > unchanged_since:
            raise SessionBusyError(f"Conversation {conversation_id} has gone on meanwhile.")
        return [act(form) for form in forms(path) or [path]]
    except OSError as error:
        raise SessionFileError(f"{path}: {error.strerror}") from error
    except SessionFileError as error:
        raise SessionFileError(f"{path}: {error}") from error
    finally:
        lock.release()
