"""The saved conversations of a home, for readers other than workers.

Listing reads the two ends of a file, however long it is; of a packed one it keeps them. Showing one reads all of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import islice
from typing import BinaryIO, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.fork import Fork, fork_file
from greenroom.sessions.records.chronicle import Chronicle, chronicle
from greenroom.sessions.records.passage import Passage, passage_of
from greenroom.sessions.records.restored import Restored, restore
from greenroom.sessions.records.turn_log import SavedTurn, TurnLog
from greenroom.sessions.storage.file import read
from greenroom.sessions.storage.finder import SessionName, find_listed, list_sessions
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.sessions.storage.lock import writers

HEAD: Final = 256 * 1024
"""Bytes at the beginning of a file that are read for a list."""
TAIL: Final = 64 * 1024
"""Bytes at its end that are read for a list."""
MAX_LINE: Final = 1024 * 1024

SessionOutcome: TypeAlias = Literal["completed", "failed", "aborted", "unfinished", "empty"]
"""How the last turn ended; `unfinished`: the file does not tell, because its process died; `empty`: there was none."""
SavedState: TypeAlias = Literal["open", "completed", "failed", "aborted", "unfinished", "empty", "unreadable"]
"""`open`: a process has the conversation open, and may be running a turn. Else the `SessionOutcome`."""


class SessionEntry(msgspec.Struct, frozen=True):
    """One saved conversation, from the two ends of its file."""

    id: ConversationId
    path: str
    started: str
    """Local time, `YYYY-MM-DDThh-mm-ss`."""
    changed_at: float
    """Time of the last write, in seconds since the epoch."""
    size: int
    """Bytes of the file, as it lies on disk."""
    cwd: str | None = None
    model: str | None = None
    """The model of the last turn."""
    title: str | None = None
    """The first words of the user."""
    tokens: int | None = None
    """Tokens of all turns."""
    outcome: SessionOutcome | None = None
    """How its last turn ended."""
    writer: int | None = None
    """Pid of the process that has it open at the moment."""
    fault: str | None = None
    """Why the file cannot be read; the fields after `size` are then unknown."""

    @property
    def state(self) -> SavedState:
        """What is known of it at a glance."""
        if self.writer is not None:
            return "open"
        return "unreadable" if self.outcome is None else self.outcome


class Changes(msgspec.Struct, frozen=True):
    """The changes of a conversation's patches to files."""

    patches: list[JsonObject]
    """Of each patch a map from path to change, in the order in which they were applied."""
    cwd: str | None
    """The directory of the conversation, where it is known."""


class Story(msgspec.Struct, frozen=True):
    """Everything that a file contains of its conversation, also what the model no longer sees."""

    entry: SessionEntry
    told: list[tuple[int, Passage]]
    """Messages and actions, each with the number of its turn, from 1."""
    turns: int
    """Number of turns that have ended."""
    log: list[SavedTurn]
    """How its turns ended, as far as the file says so, in order."""


def entries(home: str, limit: int | None = None) -> Iterator[SessionEntry]:
    """Yield the conversations of a home, the newest first; at most `limit` of them."""
    yield from entries_of(home, islice(list_sessions(home), limit))


def entries_of(home: str, names: Iterable[SessionName]) -> Iterator[SessionEntry]:
    """Yield the conversations of these files, in their order."""
    open_in, reader = writers(home), Reader(home)
    for name in names:
        entry = _entry(reader, name)
        if entry is not None:
            yield replace(entry, writer=open_in.get(name.conversation_id))


def session_page(home: str, limit: int, after: str = "") -> tuple[list[SessionEntry], str | None]:
    """Return conversations of a home, the newest first, and a cursor, `None` at the end.

    `after` is the cursor of an earlier page. Raises `ValueError` where it is not valid.
    """
    names = sorted(list_sessions(home), key=_place, reverse=True)
    if after:
        started, _, conversation_id = after.partition(" ")
        if not (started and conversation_id):
            raise ValueError("this is not where a page has ended")
        names = [name for name in names if _place(name) < (started, conversation_id)]
    open_in, reader = writers(home), Reader(home)
    found = [entry for name in names[:limit] if (entry := _entry(reader, name)) is not None]
    listed = [replace(entry, writer=open_in.get(entry.id)) for entry in found]
    return listed, " ".join(_place(names[limit - 1])) if len(names) > limit else None


def story(home: str, conversation_id: ConversationId) -> Story:
    """Return the whole of a conversation. Raises `SessionUnknownError` or `SessionFileError`."""
    return story_of(home, _named(home, conversation_id))


def story_of(home: str, name: SessionName) -> Story:
    """Return the whole of the conversation of a file, listed or archived. Raises as `story` does."""
    log = TurnLog()
    read_whole = _chronicle(Reader(home), name.path, log)
    entry = _entry(Reader(home), name)
    if entry is None:
        raise _unknown(home, name.conversation_id)
    told = [(turn, passage) for turn, item in read_whole.told if (passage := passage_of(item)) is not None]
    return Story(
        replace(entry, writer=writers(home).get(name.conversation_id)),
        told,
        len(read_whole.ends),
        log.turns,
    )


def file_changes(home: str, conversation_id: ConversationId) -> Changes:
    """Return every patch that was applied in a conversation. Raises `SessionUnknownError` or `SessionFileError`."""
    name = _named(home, conversation_id)
    entry = _entry(Reader(home), name)
    return Changes(_chronicle(Reader(home), name.path).changes, None if entry is None else entry.cwd)


def exists(home: str, conversation_id: ConversationId) -> bool:
    """Tell whether a conversation is saved."""
    return find_listed(home, conversation_id) is not None


def fork_conversation(home: str, conversation_id: ConversationId, turns: int | None) -> Fork:
    """Make a new conversation from the first turns of another one, or from all that have ended.

    Raises `SessionUnknownError` or `SessionFileError`.
    """
    path = _named(home, conversation_id).path
    try:
        return fork_file(home, path, turns)
    except OSError as error:
        raise SessionFileError(f"Conversation {conversation_id} cannot be forked: {error.strerror}") from error
    except SessionFileError as error:
        raise SessionFileError(f"Conversation {conversation_id} cannot be forked: {error}") from error


def search(home: str, wanted: Callable[[ConversationId], bool]) -> list[ConversationId]:
    """Return the ids that are wanted, by the names of the files only."""
    return list(dict.fromkeys(name.conversation_id for name in list_sessions(home) if wanted(name.conversation_id)))


def passages(home: str, conversation_id: ConversationId) -> list[Passage]:
    """Return the part of a conversation that the model still sees.

    Raises `SessionUnknownError` or `SessionFileError`.
    """
    return passages_of(home, _named(home, conversation_id).path)


def passages_of(home: str, path: str) -> list[Passage]:
    """Return the same of a file, listed or archived. Raises `SessionFileError`."""
    return [passage for item in read(Reader(home), path).items if (passage := passage_of(item)) is not None]


def _named(home: str, conversation_id: ConversationId) -> SessionName:
    path = find_listed(home, conversation_id)
    if path is None:
        raise _unknown(home, conversation_id)
    started = os.path.basename(path).removeprefix("rollout-")[: len("YYYY-MM-DDThh-mm-ss")]
    return SessionName(path, started, conversation_id)


def _unknown(home: str, conversation_id: ConversationId) -> SessionUnknownError:
    return SessionUnknownError(f"There is no saved conversation {conversation_id} in {home}.")


def _chronicle(reader: Reader, path: str, log: TurnLog | None = None) -> Chronicle:
    try:
        with open_with_origins(reader, path) as file:
            return chronicle(file if log is None else log.watching(file))
    except OSError as error:
        raise SessionFileError(f"Session file {path} cannot be read: {error.strerror}") from error
    except SessionFileError as error:
        raise SessionFileError(f"Session file {path} cannot be read: {error}") from error


def _place(name: SessionName) -> tuple[str, str]:
    return name.started, name.conversation_id


# Listing


def _entry(reader: Reader, name: SessionName) -> SessionEntry | None:
    try:
        facts = os.stat(name.path)
    except OSError:  # it has just been removed
        return None
    known = (name.conversation_id, name.path, name.started, facts.st_mtime, facts.st_size)
    log = TurnLog()
    try:
        restored = restore(log.watching(_ends(reader, name.path, log.skip)))
    except SessionFileError as error:
        return SessionEntry(*known, fault=str(error))
    except OSError as error:
        return SessionEntry(*known, fault=error.strerror)
    usage = restored.usage or {}
    outcome = _outcome(log, restored)
    return SessionEntry(*known, restored.cwd, restored.model, restored.title, usage.get("total_tokens"), outcome)


def _outcome(log: TurnLog, restored: Restored) -> SessionOutcome:
    last = log.turns[-1].outcome if log.turns else None
    if last is not None:
        return "unfinished" if last == "open" else last
    if not restored.items:
        return "empty"
    return "unfinished" if restored.interrupted else "completed"


def _ends(reader: Reader, path: str, on_gap: Callable[[], None]) -> Iterator[bytes]:
    """Yield the first and the last lines of a file; `on_gap` is called where lines are left out between them."""
    with open_with_origins(reader, path) as file:
        read_so_far = 0
        while read_so_far < HEAD and (line := file.readline(MAX_LINE)):
            read_so_far += len(line)
            yield line
        last, is_whole = _last_bytes(file, read_so_far)
    if not is_whole:
        on_gap()
    yield from islice(BytesIO(last), 0 if is_whole else 1, None)


def _last_bytes(file: BinaryIO, read_so_far: int) -> tuple[bytes, bool]:
    """Return the last bytes behind those that were read, at most `TAIL`, and whether they follow on them."""
    if file.seekable():
        start = max(file.seek(0, os.SEEK_END) - TAIL, read_so_far)
        file.seek(start)
        return file.read(TAIL), start == read_so_far
    last, end = b"", read_so_far
    while block := file.read(TAIL):
        last, end = (last + block)[-TAIL:], end + len(block)
    return last, end - TAIL <= read_so_far
