"""Lists saved conversations page by page, as clients of threads want them: sorted, filtered, archived or not."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.names import names
from greenroom.sessions.records.restored import restore
from greenroom.sessions.records.thread_history import StoredMeta, ThreadHistory, meta_of, thread_history
from greenroom.sessions.storage.finder import SessionName, list_archived, list_sessions, path_of
from greenroom.sessions.storage.lineage import open_with_origins

SortKey: TypeAlias = Literal["created_at", "updated_at"]
HEAD: Final = 256 * 1024
"""Bytes at the beginning of a file that are read for a list."""


class ThreadEntry(msgspec.Struct, frozen=True):
    """One saved conversation, from the beginning of its file."""

    id: ConversationId
    path: str
    changed_at: float
    """In seconds since the epoch."""
    meta: StoredMeta
    preview: str
    """The first words of the user."""
    model: str | None
    cwd: str
    name: str | None
    """The name that the user has given it."""


class Query(msgspec.Struct, frozen=True):
    """Which conversations are wanted."""

    archived: bool = False
    sort: SortKey = "created_at"
    ascending: bool = False
    cwds: frozenset[str] = frozenset()
    """Directories; empty for all."""
    providers: frozenset[str] = frozenset()
    text: str = ""
    """Part of the preview or the name, in any case."""
    included: frozenset[str] = frozenset()
    """Ids; empty for all."""
    excluded: frozenset[str] = frozenset()


def thread_page(home: str, query: Query, limit: int, after: str = "") -> tuple[list[ThreadEntry], str | None]:
    """Return conversations with a message of the user, and a cursor, `None` at the end.

    `after` is the cursor of an earlier page. Raises `ValueError` where it is not valid.
    """
    places = sorted(_places(home, query), key=lambda place: place[0], reverse=not query.ascending)
    if after:
        start = _position(after)
        places = [(key, name) for key, name in places if (key > start if query.ascending else key < start)]
    reader = Reader(home)
    given = names(reader)
    wanted = _matching(reader, query, given, (name for _, name in places))
    keys = {name.path: key for key, name in places}
    found = list(islice(wanted, limit + 1))
    more = len(found) > limit
    return found[:limit], "|".join(keys[found[limit - 1].path]) if more and limit else None


def entry(home: str, conversation_id: ConversationId) -> ThreadEntry:
    """Return a conversation, archived or not. Raises `SessionUnknownError` or `SessionFileError`."""
    path = path_of(home, conversation_id)
    reader = Reader(home)
    found = _entry(reader, SessionName(path, "", conversation_id), names(reader))
    if found is None:
        raise SessionUnknownError(f"no rollout found for thread id {conversation_id}")
    return found


def history(home: str, conversation_id: ConversationId) -> ThreadHistory:
    """Return the turns of a conversation, archived or not. Raises `SessionUnknownError` or `SessionFileError`."""
    path = path_of(home, conversation_id)
    try:
        with open_with_origins(Reader(home), path) as file:
            return thread_history(file)
    except OSError as error:
        raise SessionFileError(f"Session file {path} cannot be read: {error.strerror}") from error


def _places(home: str, query: Query) -> Iterator[tuple[tuple[str, str], SessionName]]:
    """Yield the files with what they are sorted by, which is all that a cursor needs."""
    key: Callable[[SessionName], str] = _changed if query.sort == "updated_at" else _started
    for name in list_archived(home) if query.archived else list_sessions(home):
        if query.included and name.conversation_id not in query.included:
            continue
        if name.conversation_id not in query.excluded:
            yield (key(name), name.conversation_id), name


def _started(name: SessionName) -> str:
    return name.started


def _changed(name: SessionName) -> str:
    try:
        return f"{os.stat(name.path).st_mtime_ns:020d}"
    except OSError:
        return ""


def _position(cursor: str) -> tuple[str, str]:
    key, mark, conversation_id = cursor.partition("|")
    if not mark:
        raise ValueError("this is not where a page has ended")
    return key, conversation_id


def _matching(
    reader: Reader, query: Query, given: dict[str, str], found: Iterable[SessionName]
) -> Iterator[ThreadEntry]:
    text = query.text.casefold()
    for name in found:
        one = _entry(reader, name, given)
        if one is None or not one.preview:
            continue
        is_wanted = (
            (not query.cwds or one.cwd in query.cwds)
            and (not query.providers or one.meta.model_provider in query.providers)
            and text in f"{one.preview}\n{one.name or ''}".casefold()
        )
        if is_wanted:
            yield one


def _entry(reader: Reader, name: SessionName, given: dict[str, str]) -> ThreadEntry | None:
    try:
        changed_at = os.stat(name.path).st_mtime
        with open_with_origins(reader, name.path) as file:
            head = file.read(HEAD).splitlines(keepends=True)
        restored = restore(head)
    except (OSError, SessionFileError):
        return None
    meta = meta_of(head[0])
    return ThreadEntry(
        id=name.conversation_id,
        path=name.path,
        changed_at=changed_at,
        meta=meta,
        preview=restored.title or "",
        model=restored.model,
        cwd=restored.cwd or meta.cwd,
        name=given.get(name.conversation_id),
    )
