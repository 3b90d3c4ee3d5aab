"""Makes a new conversation from the beginning of another one: a session file of its own, with a copy of the turns.

The copy has the format of the file: one of August 2025 keeps it, as it does when its conversation continues.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions.records.chronicle import chronicle
from greenroom.sessions.records.format import record_timestamp
from greenroom.sessions.records.ordinals import renumbered
from greenroom.sessions.storage.directory import make_private, sync
from greenroom.sessions.storage.file import session_path
from greenroom.sessions.storage.lineage import open_with_origins

Clock = Callable[[], float]


class Fork(NamedTuple):
    """The new conversation."""

    conversation_id: ConversationId
    turns: int
    """Number of its turns."""


Meta: TypeAlias = dict[str, object]


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    payload: dict[str, object] | None = None


def fork_file(home: str, path: str, turns: int | None = None, clock: Clock = time.time) -> Fork:
    """Copy the first turns of a file, all that have ended where no number is given. On return the copy is safe on disk.

    Raises `SessionFileError` where there are no such turns, and `OSError`.
    """
    reader = Reader(home)
    with open_with_origins(reader, path) as file:
        first = file.readline()
        line, is_2025 = _meta(first)
        ends = chronicle(chain([first], file)).ends
    count = len(ends) if turns is None else turns
    if not 0 < count <= len(ends):
        raise SessionFileError(f"{len(ends)} of its turns have ended, so there is no turn {count} to fork after")
    conversation_id, now = ConversationId(uuid7()), clock()
    head = (_former_head if is_2025 else _head)(line, conversation_id, now)
    with open_with_origins(reader, path) as file:
        if is_2025:  # only the current format has a place for the metadata of the origin
            file.readline()
        copied = _lines(file, ends[count - 1] - (len(first) if is_2025 else 0))
        _write(home, conversation_id, renumbered(chain([head], copied)), now)
    return Fork(conversation_id, count)


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the next lines of a file, `size` bytes in all."""
    while size > 0 and (line := file.readline(size)):
        size -= len(line)
        yield line


def _meta(line: bytes) -> tuple[Meta, bool]:
    """Return the first line of a file, and whether it is in the format of August 2025."""
    try:
        first = msgspec.json.decode(line, type=_Line)
        is_2025 = not first.type and first.payload is None
        members = msgspec.json.decode(line, type=dict[str, object])
        UUID(str((members if is_2025 else first.payload or {}).get("id")))
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        raise SessionFileError("it does not begin with the metadata of a session") from None
    if not is_2025 and first.type != "session_meta":
        raise SessionFileError("it does not begin with the metadata of a session")
    return members, is_2025


def _head(line: Meta, conversation_id: ConversationId, now: float) -> bytes:
    meta = msgspec.convert(line["payload"], Meta)
    payload = {**_renewed(meta, conversation_id, now), "session_id": conversation_id}
    return msgspec.json.encode({**line, "timestamp": record_timestamp(now), "payload": payload}) + b"\n"


def _former_head(line: Meta, conversation_id: ConversationId, now: float) -> bytes:
    return msgspec.json.encode(_renewed(line, conversation_id, now)) + b"\n"


def _renewed(meta: Meta, conversation_id: ConversationId, now: float) -> Meta:
    return {**meta, "id": conversation_id, "forked_from_id": meta["id"], "timestamp": record_timestamp(now)}


def _write(home: str, conversation_id: ConversationId, content: Iterable[bytes], now: float) -> None:
    path = session_path(home, conversation_id, now)
    directory = os.path.dirname(path)
    changed = make_private(directory)
    unfinished = f"{path}.part"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    for folder in (*changed, directory):
        sync(folder)
