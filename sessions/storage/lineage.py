"""Session files as whole conversations: a fork of a later release keeps its beginning in the file of its origin.

The first line of such a fork names the origin in `history_base`, with the ordinal before which its history ends. The
origin may be a fork itself, may be packed by now, and may have been archived.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.finder import find_anywhere
from greenroom.sessions.storage.packed import open_session

MAX_ORIGINS: Final = 100
"""Forks of forks that are followed."""
_MARK: Final = b'"history_base"'
_BLOCK: Final = 128 * 1024
_LARGEST_HEAD: Final = 16 * 1024 * 1024
"""Bytes of a first line; it holds the instructions of the conversation."""


class _Base(msgspec.Struct, frozen=True):
    thread_id: str
    end_ordinal_exclusive: int


class _Payload(msgspec.Struct, frozen=True):
    history_base: _Base | None = None


class _Meta(msgspec.Struct, frozen=True):
    payload: _Payload


class _Line(msgspec.Struct, frozen=True):
    ordinal: int | None = None


def open_with_origins(reader: Reader, path: str) -> BinaryIO:
    """Open the conversation of a file for reading, with what its origins hold of it, in order.

    Its first line is that of the file, without `history_base` where the beginning was put back. Raises `OSError`, or
    `SessionFileError` where an origin cannot be read; reading raises the same. Seeking is supported where the file is
    plain and holds all of its conversation.
    """
    file = open_session(reader, path)
    try:
        first = file.readline()
        base = _base(first)
        if base is None:
            return _from_start(reader, path, file)
        origins = _origins(reader, base)
        lines = _lines(first, file, origins)
        return cast("BinaryIO", io.BufferedReader(_Joined(lines, [file, *(origin for origin, _ in origins)]), _BLOCK))
    except BaseException:
        file.close()
        raise


def session_origin(reader: Reader, path: str) -> ConversationId | None:
    """Return the conversation whose file holds the beginning of this one; `None` for a file that holds all of its own.

    Raises `OSError` or `SessionFileError`.
    """
    with open_session(reader, path) as file:
        base = _base(file.readline())  # as long as it is for those that read the conversation
    return None if base is None else ConversationId(base.thread_id.lower())


def _from_start(reader: Reader, path: str, file: BinaryIO) -> BinaryIO:
    if file.seekable():
        file.seek(0)
        return file
    file.close()
    return open_session(reader, path)


def _base(line: bytes) -> _Base | None:
    if _MARK not in line:
        return None
    try:
        return msgspec.json.decode(line, type=_Meta).payload.history_base
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SessionFileError("it does not tell where its beginning is") from error


def _origins(reader: Reader, base: _Base | None) -> list[tuple[BinaryIO, int]]:
    """Open the files before this one, the oldest first, each behind its first line and with the ordinal of its end."""
    origins: list[tuple[BinaryIO, int]] = []
    try:
        while base is not None:
            if len(origins) == MAX_ORIGINS:
                raise SessionFileError(f"it is a fork of more than {MAX_ORIGINS} others")
            origin = _open_origin(reader, base.thread_id)
            origins.insert(0, (origin, base.end_ordinal_exclusive))
            base = _base(origin.readline())
    except BaseException:
        for origin, _ in origins:
            origin.close()
        raise
    return origins


def _open_origin(reader: Reader, conversation_id: str) -> BinaryIO:
    try:
        known = ConversationId(conversation_id.lower())
        path = find_anywhere(reader.home, known)
    except ValueError:
        path = None
    if path is None:
        raise SessionFileError(f"its beginning is in the file of conversation {conversation_id}, which is not there")
    try:
        return open_session(reader, path)
    except OSError as error:
        raise SessionFileError(f"its beginning is in {path}, which cannot be read: {error.strerror}") from error


def _lines(first: bytes, file: BinaryIO, origins: list[tuple[BinaryIO, int]]) -> Iterator[bytes]:
    yield _whole(first)
    for origin, end in origins:
        for line in origin:
            if (ordinal := _ordinal(line)) is not None and ordinal >= end:
                break
            yield line if line.endswith(b"\n") else line + b"\n"
    yield from file


def _whole(first: bytes) -> bytes:
    """Return the first line as that of a file that holds everything."""
    line = msgspec.json.decode(first, type=dict[str, msgspec.Raw])
    payload = msgspec.json.decode(line["payload"], type=dict[str, msgspec.Raw])
    del payload["history_base"]
    return msgspec.json.encode({**line, "ordinal": 0, "payload": payload}) + b"\n"


def _ordinal(line: bytes) -> int | None:
    try:
        return msgspec.json.decode(line, type=_Line).ordinal
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class _Joined(io.RawIOBase):
    """Lines as a stream, which closes the files that they come from."""

    def __init__(self, lines: Iterator[bytes], files: list[BinaryIO]) -> None:
        self._lines = lines
        self._files = files
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        block = self._rest or next(self._lines, b"")
        size = min(len(block), len(view))
        view[:size] = block[:size]
        self._rest = block[size:]
        return size

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
