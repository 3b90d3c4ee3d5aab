"""A decoder of server-sent events, free of I/O: chunks of bytes in, the `data` of each complete event out.

Rules that it enforces (WHATWG HTML, "Server-sent events"), however the chunks are cut:

* A line ends with LF, CRLF or CR; an empty line ends the event; a byte order mark at the start is skipped.
* The `data` lines of an event are joined with LF; one space after the colon is dropped; a line without a colon is a
  field with an empty value.
* Comments, other fields and events without `data` are dropped.

In addition, the size of an event is limited, since it is kept in memory until its empty line arrives. And `end` returns
an event that the stream's end cut short, because some servers omit the last empty line.
"""

import re
from collections.abc import Iterator
from typing import Final

from greenroom.protocol.errors import RemoteProtocolError

MAX_EVENT: Final = 64 * 1024 * 1024
"""Maximum bytes of one event, including its field names and line ends."""

_BOM: Final = b"\xef\xbb\xbf"
_last_data_lines: Final = re.compile(rb"\ndata: ([^\n]*)\n(?=\n)").findall
"""Matches the `data` lines that end an event, in text that starts with a newline."""


class SseDecoder:
    """Splits one stream into events. Not to be used again after `RemoteProtocolError`."""

    __slots__ = ("_at_start", "_limit", "_pieces", "_size", "_skip_newline")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        """The received part of the incomplete event; line ends are LF here."""
        self._size = 0
        self._skip_newline = False
        self._at_start = True

    @property
    def pending(self) -> int:
        """Bytes kept for an event that is not complete."""
        return self._size

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the `data` of the events that `chunk` completes. Raises `RemoteProtocolError` if one is too large."""
        if chunk.endswith(b"\n\n") and self._is_plain(chunk):
            return _payloads(chunk)
        if self._at_start:
            chunk = self._without_mark(chunk)
        if self._skip_newline or b"\r" in chunk:
            chunk = self._with_newlines(chunk)
        end = self._end_of_events(chunk)
        if self._size + len(chunk) > self._limit:
            self._check_sizes(chunk, end)
        if end == 0:
            self._keep(chunk)
            return []
        self._pieces.append(chunk[:end])
        block = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._keep(chunk[end:])
        return _payloads(block)

    def end(self) -> list[bytes]:
        """Return the `data` of an event without its empty line; nothing if there is none."""
        block = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return list(_data(block))

    def _is_plain(self, chunk: bytes) -> bool:
        between_events = not (self._pieces or self._at_start or self._skip_newline)
        return between_events and len(chunk) <= self._limit and b"\r" not in chunk

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def _without_mark(self, chunk: bytes) -> bytes:
        start = b"".join((*self._pieces, chunk))
        self._pieces.clear()
        self._size = 0
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._keep(start)
            return b""
        self._at_start = False
        return start.removeprefix(_BOM)

    def _with_newlines(self, chunk: bytes) -> bytes:
        """Convert CRLF and CR to LF. A CR at the end counts at once; an LF that follows it is skipped then."""
        if not chunk:
            return chunk
        if self._skip_newline:
            chunk = chunk.removeprefix(b"\n")
        self._skip_newline = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _end_of_events(self, chunk: bytes) -> int:
        """Return how many bytes of `chunk` belong to events that are complete."""
        end = chunk.rfind(b"\n\n") + 2
        if end > 1:
            return end
        straddles = chunk.startswith(b"\n") and bool(self._pieces) and self._pieces[-1].endswith(b"\n")
        return 1 if straddles else 0

    def _check_sizes(self, chunk: bytes, end: int) -> None:
        head, *rest = chunk[:end].split(b"\n\n")
        sizes = (self._size + len(head), *map(len, rest), len(chunk) - end + (0 if end else self._size))
        if max(sizes) > self._limit:
            raise RemoteProtocolError(f"an event of the stream is larger than {self._limit} bytes")


def _payloads(block: bytes) -> list[bytes]:
    """Return the `data` of events that are complete."""
    block = b"\n" + block
    payloads: list[bytes] = _last_data_lines(block)
    if len(payloads) == block.count(b"\ndata"):
        # Every line of data ends its event, so no event has two of them and nothing needs to be joined.
        return payloads
    return [data for event in block.split(b"\n\n") for data in _data(event)]


def _data(event: bytes) -> Iterator[bytes]:
    lines = [_value(line) for line in event.split(b"\n") if line == b"data" or line.startswith(b"data:")]
    if lines:
        yield b"\n".join(lines)


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
