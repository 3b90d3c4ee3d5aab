"""The body of a model server's answer, free of I/O: chunks of bytes in, the payloads that the decoders read out.

What a body is its first byte tells, since not every server names its type rightly:

* A brace or a bracket begins JSON: one object or list, or one on each line. It is read once it is whole.
* An angle bracket begins a web page, of a proxy for instance, or of a wrong address: an error that quotes it.
* Everything else is a stream of server-sent events. If it brings no event, the error quotes it as well.
"""

import re
from typing import Final

import msgspec

from greenroom.protocol.errors import GreenroomError, RemoteProtocolError
from greenroom.workers.model.transport.sse import MAX_EVENT, SseDecoder

QUOTED: Final = 200
"""Characters of a body that an error repeats."""

PAGE_READ: Final = 4096
"""Bytes of a web page that are waited for."""

_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"
_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


class NotAnAnswerError(GreenroomError):
    """The body is something that no model server answers with. The text quotes its beginning."""

    def __init__(self, text: str, *, permanent: bool = True) -> None:
        """`permanent`: another request would be answered the same way."""
        super().__init__(text)
        self.permanent = permanent


class AnswerBody:
    """Cuts one body into payloads. After an error it must not be used again."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        """`limit`: bytes that one event, or a body of JSON, may have."""
        self._limit = limit
        self._sse = SseDecoder(limit)
        self._kind: bytes | None = None
        """The first byte; `None` as long as there was nothing but blanks."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._has_payloads = False
        self._beginning = b""
        """What a stream of events began with, as long as it has brought none."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that `chunk` completes. Raises `NotAnAnswerError`, and `RemoteProtocolError`."""
        if self._has_payloads:
            return self._sse.feed(chunk)
        if self._kind is None:
            chunk = b"".join((*self._pieces, chunk))
            text = chunk.removeprefix(_BOM).lstrip(_BLANK)
            if not text or _BOM.startswith(chunk):
                self._pieces = [chunk] if _BOM.startswith(chunk) else []
                return []
            self._kind, self._pieces = text[:1], []
        if self._kind in (b"{", b"[", b"<"):
            self._keep(chunk)
            return []
        return self._events(chunk)

    def end(self) -> list[bytes]:
        """Return the payloads that the end of the body completes. Raises `NotAnAnswerError`."""
        if self._kind == b"<":
            raise NotAnAnswerError(f"the server answered with a web page: {quoted_body(self._body())}")
        if self._kind in (b"{", b"["):
            return json_payloads(self._body())
        payloads = self._sse.end()
        if self._kind is not None and not (self._has_payloads or payloads) and (text := quoted_body(self._beginning)):
            raise NotAnAnswerError(f"the server answered with neither events nor JSON: {text}", permanent=False)
        return payloads

    def _events(self, chunk: bytes) -> list[bytes]:
        payloads = self._sse.feed(chunk)
        self._has_payloads = bool(payloads)
        if len(self._beginning) < QUOTED * 4:
            self._beginning += chunk[: QUOTED * 4]
        return payloads

    def _keep(self, chunk: bytes) -> None:
        self._pieces.append(chunk)
        self._size += len(chunk)
        if self._kind == b"<" and self._size >= PAGE_READ:
            raise NotAnAnswerError(f"the server answered with a web page: {quoted_body(self._body())}")
        if self._size > self._limit:
            raise RemoteProtocolError(f"the answer is larger than {self._limit} bytes")

    def _body(self) -> bytes:
        return b"".join(self._pieces).removeprefix(_BOM).strip(_BLANK)


def json_payloads(body: bytes) -> list[bytes]:
    """Return the payloads of a body of JSON: the whole, or else its lines."""
    try:
        _check(body)
    except _UNREADABLE:
        lines = (line.strip(_BLANK) for line in body.splitlines())
        return [line.removeprefix(b"data:").strip(_BLANK) for line in lines if line and not line.startswith(b":")]
    return [body]


def quoted_body(body: bytes) -> str:
    """Return the beginning of a text on one line, without comments of a stream and the tags of a page."""
    text = _TAGS.sub(" ", body[: PAGE_READ * 4].decode("utf-8", "replace"))
    lines = (line for line in text.splitlines() if not line.startswith(":"))
    return " ".join(" ".join(lines).split())[:QUOTED]
