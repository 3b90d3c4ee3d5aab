"""Puts session files aside, back, or away for good, under the lock of their conversation.

Packed and plain forms of a file are moved together, since one that is left behind would be listed again.
"""

import os
from collections.abc import Callable

from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.directory import make_private, sync
from greenroom.sessions.finder import ARCHIVE, FOLDER, find, find_archived
from greenroom.sessions.lock import WriterLock
from greenroom.sessions.packed import forms


def archive(home: str, conversation_id: ConversationId) -> str:
    """Move the file of a conversation to where it is not listed, and return its path there.

    Raises `SessionUnknownError`, `SessionBusyError` where a process has it open, or `SessionFileError`.
    """
    path = find(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    return _change(home, conversation_id, path, lambda form: move(form, os.path.join(home, ARCHIVE)))


def unarchive(home: str, conversation_id: ConversationId) -> str:
    """Move the file back to the directory of its day, and return its path. Raises as `archive` does."""
    path = find_archived(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no archived rollout found for thread id {conversation_id}")
    day = os.path.basename(path).removeprefix("rollout-")[: len("YYYY-MM-DD")].split("-")
    folder = os.path.join(home, FOLDER, *day)
    return _change(home, conversation_id, path, lambda form: move(form, folder))


def delete(home: str, conversation_id: ConversationId) -> None:
    """Remove the file of a conversation, listed or archived. Raises as `archive` does."""
    path = find(home, conversation_id) or find_archived(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    _change(home, conversation_id, path, _remove)


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


def _change(home: str, conversation_id: ConversationId, path: str, act: Callable[[str], str]) -> str:
    try:
        lock = WriterLock(home, conversation_id)
    except OSError as error:
        raise SessionFileError(f"{path}: {error.strerror}") from error
    try:
        changed = [act(form) for form in forms(path) or [path]]
    except OSError as error:
        raise SessionFileError(f"{path}: {error.strerror}") from error
    finally:
        lock.release()
    return changed[0]
