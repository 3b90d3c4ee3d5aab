"""The names that users have given to conversations: lines of one file of the home, of which the last one counts.

The file is the one in which Codex keeps them (`session_index.jsonl`).
"""

import os
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId

FILE: Final = "session_index.jsonl"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of the file that are read."""


class _Entry(msgspec.Struct, frozen=True):
    id: str
    thread_name: str
    updated_at: str = ""


_decode: Final = msgspec.json.Decoder(_Entry).decode


def names(reader: Reader) -> dict[str, str]:
    """Return the names by the ids of their conversations; none where the file cannot be read."""
    try:
        lines = reader.read(os.path.join(reader.home, FILE), LARGEST).splitlines()
    except (OSError, ValueError):
        return {}
    found: dict[str, str] = {}
    for line in lines:
        try:
            entry = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        found[entry.id] = entry.thread_name
    return {conversation_id: name for conversation_id, name in found.items() if name}


def give_name(reader: Reader, conversation_id: ConversationId, name: str) -> None:
    """Add a name, in place of an earlier one. Raises `SessionFileError`."""
    at = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
    line = msgspec.json.encode(_Entry(conversation_id, name, at)) + b"\n"
    path = os.path.join(reader.home, FILE)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, line)  # one write of one line, so that several programs can add some
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SessionFileError(f"{path}: {error.strerror}") from error
