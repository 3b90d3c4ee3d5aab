"""Makes a new conversation of the beginning of another one: a session file of its own, with a copy of the turns."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import msgspec

from protocol.errors import SessionFileError
from protocol.ids import ConversationId, uuid7
from workers.session.chronicle import chronicle
from workers.session.directory import make_private, sync
from workers.session.file import session_path
from workers.session.format import Record, encode, timestamp

Clock = Callable[[], float]


class Fork(NamedTuple):
    """A conversation that was made."""

    conversation_id: ConversationId
    turns: int
    """How many turns it begins with."""


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    payload: dict[str, object] = {}


def fork(home: str, path: str, turns: int | None = None, clock: Clock = time.time) -> Fork:
    """Copy the first turns of a file, all that have ended where no number is given. The copy is safe on disk then.

    Raises `SessionFileError` where there are no such turns, and `OSError`.
    """
    with open(path, "rb") as file:
        meta = _meta(file.readline())
        file.seek(0)
        ends = chronicle(file).ends
        count = len(ends) if turns is None else turns
        if not 0 < count <= len(ends):
            raise SessionFileError(f"{len(ends)} of its turns have ended, so there is no turn {count} to fork after")
        file.seek(0)
        return Fork(_write(home, meta, file.read(ends[count - 1]), clock()), count)


def _meta(line: bytes) -> dict[str, object]:
    try:
        first = msgspec.json.decode(line, type=_Line)
        UUID(str(first.payload.get("id")))
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        raise SessionFileError("it is in a format that can be read, but not forked") from None
    if first.type != "session_meta":
        raise SessionFileError("it does not begin with the metadata of a session")
    return first.payload


def _write(home: str, meta: dict[str, object], turns: bytes, now: float) -> ConversationId:
    conversation_id = ConversationId(uuid7())
    payload = {
        **meta,
        "session_id": conversation_id,
        "id": conversation_id,
        "forked_from_id": meta["id"],
        "timestamp": timestamp(now),
    }
    path = session_path(home, conversation_id, now)
    directory = os.path.dirname(path)
    changed = make_private(directory)
    unfinished = f"{path}.part"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(Record("session_meta", payload), now))
            file.write(turns)
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    for folder in (*changed, directory):
        sync(folder)
    return conversation_id
