"""A JSON-RPC 2.0 peer over lines, free of I/O: bytes in, messages out. No request is ever answered twice.

Rules that it enforces:

* One JSON value a line; a trailing carriage return and empty lines are ignored.
* A line that is not JSON, not UTF-8 or too long is answered with -32700 and a null id, and reading continues.
* Ids are strings or integers, echoed byte for byte; `7` and `"7"` are different ids. Any other id is answered with
  -32600, and so is one with an unpaired surrogate, which no string can contain.
* `jsonrpc` may be missing; a wrong value is answered with -32600.
* A batch is split while `accept_batches` is set (MCP 2025-03-26 has batches), otherwise rejected with -32600.
* A second request with an id that is still open is rejected with -32600.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.errors import LocalProtocolError
from greenroom.protocol.jsontext import mended

RequestId: TypeAlias = int | str

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

MAX_LINE: Final = 256 * 1024 * 1024
"""Maximum bytes of a line. A longer line gets an error instead of using up memory."""

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """A request of the other side, to be answered exactly once, with `Peer.respond` or `Peer.fail`."""

    id: RequestId
    raw_id: bytes
    """The id as the other side wrote it."""
    method: str
    params: bytes | None
    """Undecoded JSON; `None` where absent or null."""
    trace: bytes | None = None
    """The member `trace`, which the protocol of `app-server` has beside `params`; as those."""


class Notification(msgspec.Struct, frozen=True):
    """A message that is not answered."""

    method: str
    params: bytes | None


class Response(msgspec.Struct, frozen=True):
    """The other side's answer to a request of this side. Exactly one of `result` and `error` is not `None`."""

    id: RequestId
    result: bytes | None
    error: bytes | None


class Malformed(msgspec.Struct, frozen=True):
    """A line that is not a valid message. `reply` is the complete line to send back."""

    reply: bytes
    reason: str


JsonRpcMessage: TypeAlias = Request | Notification | Response | Malformed


class _Envelope(msgspec.Struct):
    jsonrpc: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    trace: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_BEFORE_ID: Final = re.compile(rb'"id"\s*:\s*$')

_HALF_A_PAIR: Final = rb"\ud"

_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_id: Final = msgspec.json.Decoder(int | str).decode
_decode_batch: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def result_line(raw_id: bytes, result: bytes) -> bytes:
    """Return the line of a successful response. `result` is JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (raw_id, result)


def error_line(raw_id: bytes, code: int, message: str, data: object = None) -> bytes:
    """Return the line of an error response; `data` is left out if it is `None`."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (raw_id, encode(error))


def notification_line(method: str, params: object) -> bytes:
    """Return the line of a notification."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}\n' % (encode(method), encode(params))


class LineBuffer:
    """Splits a stream of bytes into lines, in linear time even for lines of many megabytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        # One large block is returned to the system when it is freed; many small ones would stay in the process
        self._begun = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Yield each line completed by `data`, without its newline; `None` stands for a line beyond the limit."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            yield self._take()
            start = end + 1
        self._keep(data[start:])

    @property
    def begun(self) -> bytes | None:
        """What follows the last newline so far; `None` where that is beyond the limit already."""
        return None if self._skipping else bytes(self._begun)

    def finish(self) -> bytes | None:
        """Return what follows the last newline once the input has ended, `None` if nothing does."""
        return self._take() or None

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._begun += piece
        if len(self._begun) > self._limit:
            self._skipping = True
            self._begun.clear()

    def _take(self) -> bytes | None:
        line = None if self._skipping else bytes(self._begun)
        self._begun.clear()
        self._skipping = False
        return line


class Peer:
    """This side of one connection."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self.accept_batches = False
        self._lines = LineBuffer(max_line)
        self._open: set[RequestId] = set()
        self._next_id = 0

    @property
    def open_requests(self) -> int:
        """The number of requests of the other side that are not answered yet."""
        return len(self._open)

    @property
    def next_id(self) -> int:
        """The id of the next request of this side."""
        return self._next_id

    @property
    def unfinished(self) -> bytes | None:
        """What follows the last complete line so far; `None` where that is too long already."""
        return self._lines.begun

    def continue_from(self, next_id: int) -> None:
        """Count the requests of this side from an id on."""
        self._next_id = next_id

    def is_open(self, request: Request) -> bool:
        """Tell whether a request is not answered yet."""
        return request.id in self._open

    def receive(self, data: bytes) -> Iterator[JsonRpcMessage]:
        """Yield the messages that `data` completes, in order."""
        for line in self._lines.feed(data):
            yield from self._read_line(line)

    def admit(self, request: Request) -> None:
        """Note a request that came otherwise than as a line. No open request may have its id."""
        self._open.add(request.id)

    def receive_end(self) -> Iterator[JsonRpcMessage]:
        """Yield the message in an unterminated last line."""
        line = self._lines.finish()
        if line is not None:
            yield from self._read_line(line)

    def respond(self, request: Request, result: bytes) -> bytes:
        """Return the line that answers `request`. Raises `LocalProtocolError` if it was answered before."""
        self._close(request)
        return result_line(request.raw_id, result)

    def fail(self, request: Request, code: int, message: str, data: object = None) -> bytes:
        """Return the line that rejects `request`. Raises `LocalProtocolError` if it was answered before."""
        self._close(request)
        return error_line(request.raw_id, code, message, data)

    def request(self, method: str, params: bytes) -> tuple[RequestId, bytes]:
        """Return a fresh id and the line of a request of this side. Ids count up from 0; `params` is JSON."""
        request_id = self._next_id
        self._next_id += 1
        return request_id, b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}\n' % (request_id, encode(method), params)

    def _close(self, request: Request) -> None:
        if request.id not in self._open:
            raise LocalProtocolError(f"request {request.id!r} ({request.method}) is not open")
        self._open.remove(request.id)

    def _read_line(self, line: bytes | None) -> Iterator[JsonRpcMessage]:
        if line is None:
            yield _malformed(PARSE_ERROR, "Parse error: the line is too long")
            return
        line = line.strip()
        if not line:
            return
        if line.startswith(b"["):
            yield from self._read_batch(line)
        else:
            yield self._read_message(line)

    def _read_batch(self, line: bytes) -> Iterator[JsonRpcMessage]:
        try:
            members = _decode_batch(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield _malformed(PARSE_ERROR, f"Parse error: {error}")
            return
        if not self.accept_batches or not members:
            yield _malformed(INVALID_REQUEST, "Invalid Request: batches are not part of this protocol version")
            return
        for member in members:
            yield self._read_message(bytes(member))

    def _read_message(self, text: bytes) -> JsonRpcMessage:
        written = b""
        try:
            if not text.isascii():
                text.decode()  # the decoder does not validate members that are not accessed
            if _HALF_A_PAIR in text.lower():
                written, text = (
                    text,
                    mended(text),
                )  # JavaScript sends unpaired surrogates for a text that it cut within a character
            envelope = _decode_envelope(text)
        except msgspec.ValidationError as error:
            return _malformed(INVALID_REQUEST, f"Invalid Request: {error}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _malformed(PARSE_ERROR, f"Parse error: {error}")
        if written and (odd := _odd_id(written, text, _bytes(envelope.id))) is not None:
            return _malformed(INVALID_REQUEST, "Invalid Request: an id must be Unicode text", odd)
        return self._classify(envelope)

    def _classify(self, envelope: _Envelope) -> JsonRpcMessage:
        raw_id = _bytes(envelope.id)
        request_id = _request_id(raw_id)
        if envelope.id is not msgspec.UNSET and request_id is None:
            return _malformed(INVALID_REQUEST, "Invalid Request: an id is a string or an integer")
        if _bytes(envelope.jsonrpc) not in (None, b'"2.0"'):
            return _malformed(INVALID_REQUEST, 'Invalid Request: `jsonrpc` must be "2.0"', raw_id)
        if isinstance(envelope.method, str):
            return self._call(envelope, envelope.method, request_id, raw_id)
        if request_id is not None and (envelope.result is not msgspec.UNSET or envelope.error is not msgspec.UNSET):
            return Response(request_id, _bytes(envelope.result), _bytes(envelope.error))
        return _malformed(INVALID_REQUEST, "Invalid Request: neither a request nor a response", raw_id)

    def _call(
        self, envelope: _Envelope, method: str, request_id: RequestId | None, raw_id: bytes | None
    ) -> JsonRpcMessage:
        params = _value(envelope.params)
        if request_id is None or raw_id is None:
            return Notification(method, params)
        if request_id in self._open:
            return _malformed(INVALID_REQUEST, "Invalid Request: a request with this id is still open", raw_id)
        self._open.add(request_id)
        return Request(request_id, raw_id, method, params, _value(envelope.trace))


def _malformed(code: int, reason: str, raw_id: bytes | None = None) -> Malformed:
    return Malformed(error_line(raw_id or b"null", code, reason), reason)


def _bytes(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    return None if isinstance(raw, msgspec.UnsetType) else bytes(raw)


def _odd_id(written: bytes, text: bytes, raw_id: bytes | None) -> bytes | None:
    """Return the id as it was written, if repairing the message has changed it; a repair keeps all lengths."""
    if raw_id is None or len(written) != len(text):
        return None
    at = -1
    while (at := text.find(raw_id, at + 1)) >= 0:
        odd = written[at : at + len(raw_id)]
        if odd != raw_id and _BEFORE_ID.search(text[max(at - 64, 0) : at]):
            return odd
    return None


def _value(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    """Return a member's JSON, `None` if it is absent, null or not valid JSON (found by decoding it)."""
    value = _bytes(raw)
    return None if value == b"null" else value


def _request_id(raw_id: bytes | None) -> RequestId | None:
    if raw_id is None:
        return None
    try:
        request_id: RequestId = _decode_id(raw_id)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return request_id
