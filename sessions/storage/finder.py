"""Finds session files by their names only, newest first, anywhere below `sessions`."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.packed import plain_path, present_path

FOLDER: Final = "sessions"
ARCHIVE: Final = "archived_sessions"
"""Where files lie that were put aside, all in one directory."""
START_WITHIN: Final = 3
"""Seconds after its id within which most conversations begin their files."""
MAX_DEPTH: Final = 6
"""Levels of directories that are searched: twice the depth of a tree of days, and a bound for cyclic links."""
_NAME: Final = re.compile(
    r"rollout-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl(?:\.zst)?",
    re.IGNORECASE,
)


class SessionName(msgspec.Struct, frozen=True):
    """The facts in the name of a session file."""

    path: str
    """Of the plain file or the packed one; of the plain one where both are there."""
    started: str
    """Local time, `YYYY-MM-DDThh-mm-ss`; sorts chronologically."""
    conversation_id: ConversationId


def find_listed(home: str, conversation_id: ConversationId) -> str | None:
    """Return the path of a conversation's file, `None` where there is none.

    Of several it is the one that was begun together with its id, as the id tells, else the newest.
    """
    sessions = os.path.join(home, FOLDER)
    for path in _likely_paths(sessions, conversation_id):
        if os.path.lexists(path):
            return path
    for day in _likely_days(conversation_id):
        if found := _find_in(_names(os.path.join(sessions, day), conversation_id), conversation_id):
            return found
    return _find_in(list_sessions(home), conversation_id)


def find_archived(home: str, conversation_id: ConversationId) -> str | None:
    """Return the path of the file of a conversation that was put aside, `None` where there is none."""
    return _find_in(_names(os.path.join(home, ARCHIVE), conversation_id), conversation_id)


def find_anywhere(home: str, conversation_id: ConversationId) -> str | None:
    """Return the path of a conversation's file, listed or put aside; `None` where there is none."""
    return find_listed(home, conversation_id) or find_archived(home, conversation_id)


def path_of(home: str, conversation_id: ConversationId) -> str:
    """Return the same path. Raises `SessionUnknownError`."""
    path = find_anywhere(home, conversation_id)
    if path is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    return path


def list_sessions(home: str) -> Iterator[SessionName]:
    """Yield the session files of a home: day by day from the newest, then those outside the directories of days."""
    return _walk(os.path.join(home, FOLDER))


def list_archived(home: str) -> Iterator[SessionName]:
    """Yield the session files that were put aside, the newest first."""
    return _names(os.path.join(home, ARCHIVE))


def _find_in(names: Iterator[SessionName], conversation_id: ConversationId) -> str | None:
    return next((name.path for name in names if name.conversation_id == conversation_id), None)


def _likely_days(conversation_id: ConversationId) -> Iterator[str]:
    """Yield the directories of the days on which an id that contains its time may have been made, in any time zone."""
    value = UUID(conversation_id)
    if value.version == 7:
        made = datetime.fromtimestamp((value.int >> 80) / 1000, UTC)
        for days in (0, -1, 1):
            yield (made + timedelta(days=days)).strftime("%Y/%m/%d")


def _likely_paths(sessions: str, conversation_id: ConversationId) -> Iterator[str]:
    """Yield where the file of an id that contains its time is, unless its start was late or the time zone has changed.

    So it is found at once among any number of files of its day.
    """
    value = UUID(conversation_id)
    if value.version == 7:
        for late in range(START_WITHIN):
            made = datetime.fromtimestamp((value.int >> 80) // 1000 + late)  # noqa: DTZ006
            day, second = made.strftime("%Y/%m/%d"), made.strftime("%Y-%m-%dT%H-%M-%S")
            yield present_path(os.path.join(sessions, day, f"rollout-{second}-{conversation_id}.jsonl"))


def _walk(directory: str, depth: int = MAX_DEPTH) -> Iterator[SessionName]:
    for folder in _folders(directory) if depth else ():
        yield from _walk(os.path.join(directory, folder), depth - 1)
    yield from _names(directory)


def _folders(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(folders, key=lambda name: (name.isdigit(), name), reverse=True)


def _names(directory: str, wanted: str = "") -> Iterator[SessionName]:
    """Yield the session files of a directory; `wanted` is an id, where only its files matter."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return
    if wanted:  # a day of a busy host has many, and to read their names takes far longer than to look for this
        entries = [entry for entry in entries if wanted in entry.lower()]
    plain = set(entries)
    for entry in sorted(entries, reverse=True):
        if (name := _NAME.fullmatch(entry)) and (plain_path(entry) == entry or plain_path(entry) not in plain):
            yield SessionName(os.path.join(directory, entry), name[1], ConversationId(name[2].lower()))
