"""Decodes one streamed response. Free of I/O: payloads of server-sent events in, typed events out.

Rules that it enforces:

* A response ends with its first `response.completed`, `response.failed` or `response.incomplete`; the rest is not read.
  The status within it counts, whatever the event is called.
* Events of an unknown type, and deltas that are not text, are skipped, since the finished item has the text. An item of
  a known type without its required members is an error.
* The items of an answer that was not streamed are taken from the response itself, and so are those of a stream that
  sent none.
* A delta is passed on as the server's JSON string. It is always valid JSON and valid UTF-8: unpaired surrogates and
  broken UTF-8 are replaced by the replacement character.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar

import msgspec

from greenroom.protocol.items import KINDS, JsonObject, is_known_item
from greenroom.protocol.jsontext import mended
from greenroom.workers.model.outcome.error_body import find_complaint
from greenroom.workers.model.outcome.finish import UNKNOWN_REASON, UNREADABLE, CutShort, cut_short, reason_named

FAILED_TEXT: Final = "response.failed event received"
CLOSED_TEXT: Final = "stream closed before response.completed"
OTHER_API_TEXT: Final = 'the server answers as for Chat Completions; its provider wants `wire_api = "chat"`'


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the assistant's text."""

    raw: bytes
    """A JSON string, quotes included."""


class ReasoningSummaryDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the summary of the model's reasoning."""

    raw: bytes
    """A JSON string, quotes included."""


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the reasoning itself."""

    raw: bytes
    """A JSON string, quotes included."""


class SectionBreak(msgspec.Struct, frozen=True, gc=False):
    """A new section of the reasoning summary begins."""


class SearchBegun(msgspec.Struct, frozen=True):
    """The server has begun to search the web. The query is in the item, once that is complete."""

    call_id: str


class ItemDone(msgspec.Struct, frozen=True):
    """An item is complete, for instance a message or a tool call."""

    item: JsonObject
    """As sent by the server, with at least the required members of its type."""


class ResponseUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response; the names are those of the event `token_count`."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0
    total_tokens: int = 0


class Completed(msgspec.Struct, frozen=True):
    """The response is complete."""

    response_id: str
    usage: ResponseUsage | None
    """`None` if the server does not report them."""
    end_turn: bool
    """False: the model wants to be called again, although it called no tool."""


class ResponseFailed(msgspec.Struct, frozen=True):
    """The response will not be completed."""

    message: str
    code: str | None = None
    """The server's name of the cause; `None` if it gave none."""


ModelEvent: TypeAlias = (
    TextDelta
    | ReasoningSummaryDelta
    | ReasoningDelta
    | SectionBreak
    | SearchBegun
    | ItemDone
    | Completed
    | ResponseFailed
)


class _Wire(msgspec.Struct, gc=False):
    """The common members of all events. They are decoded only if the event's type needs them."""

    type: str = ""
    delta: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _WireResponse(msgspec.Struct):
    id: object = None
    usage: msgspec.Raw = msgspec.Raw()
    end_turn: object = None
    error: object = None
    incomplete_details: object = None
    status: object = None
    output: msgspec.Raw = msgspec.Raw()


class _WholeResponse(_WireResponse):
    object: str = ""


T = TypeVar("T")
Decode: TypeAlias = Callable[[bytes | msgspec.Raw], T]

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_wire: Final[Decode[_Wire]] = msgspec.json.Decoder(_Wire).decode
_decode_text: Final[Decode[str]] = msgspec.json.Decoder(str).decode
_decode_object: Final[Decode[JsonObject]] = msgspec.json.Decoder(dict[str, object]).decode
_decode_any: Final[Decode[object]] = msgspec.json.Decoder().decode
_decode_response: Final[Decode[_WireResponse]] = msgspec.json.Decoder(_WireResponse).decode
_decode_whole: Final[Decode[_WholeResponse]] = msgspec.json.Decoder(_WholeResponse).decode
_decode_items: Final[Decode[list[JsonObject]]] = msgspec.json.Decoder(list[dict[str, object]]).decode
_decode_usage: Final[Decode[_WireUsage]] = msgspec.json.Decoder(_WireUsage, strict=False).decode


class ResponsesDecoder:
    """Reads one response."""

    def __init__(self) -> None:
        self._ended = False
        self._has_items = False
        self._complaint: ResponseFailed | None = None
        self.skipped = 0
        """Events that were skipped because they were not valid JSON."""

    @property
    def ended(self) -> bool:
        """The last event has been decoded: `Completed` or `ResponseFailed`."""
        return self._ended

    def decode(self, payloads: list[bytes]) -> list[ModelEvent]:
        """Return the events of some payloads, in order. `Completed` or `ResponseFailed` comes last."""
        events: list[ModelEvent] = []
        for payload in payloads:
            if self._ended:
                break
            try:
                wire = _decode_wire(payload)
            except _UNREADABLE:
                wire = self._mended_wire(payload)
            read = _READERS.get(wire.type)
            if read is None:
                events.extend(self._uncommon(wire, payload))
            elif (event := read(wire)) is not None:
                self._note(event)
                events.append(event)
        return events

    def end(self, *, broken: bool = False) -> list[ModelEvent]:  # noqa: ARG002 - it makes no difference here
        """Return the outcome of a stream that ends before the response did; nothing if it had ended."""
        if self._ended:
            return []
        self._ended = True
        return [self._complaint or ResponseFailed(CLOSED_TEXT)]

    def _note(self, event: ModelEvent) -> None:
        if isinstance(event, ItemDone):
            self._has_items = True
        elif isinstance(event, ResponseFailed):
            self._ended = True

    def _mended_wire(self, payload: bytes) -> _Wire:
        wire = _attempt(_decode_wire, mended(payload))
        self.skipped += wire is None
        return wire or _Wire("unreadable")

    def _uncommon(self, wire: _Wire, payload: bytes) -> list[ModelEvent]:
        if wire.type in _ENDS:
            return self._ended_with(_attempt(_decode_response, wire.response) or _WireResponse(), wire.type)
        if wire.type in ("error", "", "unreadable"):
            if (whole := _attempt(_decode_whole, payload)) is not None and whole.object == "response":
                return self._ended_with(whole, "response.completed")
            if whole is not None and whole.object.startswith("chat.completion"):
                self._ended = True
                return [ResponseFailed(OTHER_API_TEXT, UNREADABLE)]
            # Some servers report the cause in a separate event and then just close the stream.
            self._complaint = _complaint(payload) or self._complaint
        return []

    def _ended_with(self, response: _WireResponse, kind: str) -> list[ModelEvent]:
        """Return the items that were not sent separately, and the end."""
        self._ended = True
        status = response.status if isinstance(response.status, str) else ""
        last = _ENDS[_STATUSES.get(status, kind)](response)
        if isinstance(last, ResponseFailed):
            return [last]
        items = [] if self._has_items else _attempt(_decode_items, response.output) or []
        remaining = [_item_told(item) for item in items]
        failed = next((event for event in remaining if isinstance(event, ResponseFailed)), None)
        return [*remaining, last] if failed is None else [failed]


def _attempt(decode: Decode[T], text: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(text)
    except _UNREADABLE:
        return None


EventReader: TypeAlias = Callable[[_Wire], ModelEvent | None]


def _delta_reader(make: Callable[[bytes], ModelEvent]) -> EventReader:
    def read(wire: _Wire) -> ModelEvent | None:
        # The decoder has checked escapes and line ends, but not UTF-8.
        text = bytes(wire.delta)
        if not text.isascii():
            text = _valid(text)
        return make(text) if text.startswith(b'"') else None

    return read


def _valid(text: bytes) -> bytes:
    return mended(text) if _attempt(_decode_text, text) is None else text


def _read_section_break(_: _Wire) -> SectionBreak:
    return SectionBreak()


def _read_begun(wire: _Wire) -> SearchBegun | None:
    match _attempt(_decode_object, wire.item):
        case {"type": "web_search_call", "id": str(call_id)}:
            return SearchBegun(call_id)
        case _:
            return None


def _read_item(wire: _Wire) -> ItemDone | ResponseFailed:
    item = _attempt(_decode_object, wire.item)
    if item is None:
        item = _attempt(_decode_object, mended(bytes(wire.item)))
    return ResponseFailed("an item of the answer cannot be read", UNREADABLE) if item is None else _item_told(item)


def _item_told(item: JsonObject) -> ItemDone | ResponseFailed:
    kind = str(item.get("type"))
    if kind in KINDS and not is_known_item(item):
        needed = ", ".join(KINDS[kind].required)
        return ResponseFailed(f"an item of the answer, a {kind}, lacks what it needs: {needed}", UNREADABLE)
    return ItemDone(item)


def _read_completed(response: _WireResponse) -> Completed:
    return Completed(
        response_id=response.id if isinstance(response.id, str) else "",
        usage=_usage(_attempt(_decode_usage, response.usage)),
        end_turn=response.end_turn is not False,
    )


def _read_failed(response: _WireResponse) -> ResponseFailed:
    error = response.error
    return _failed(error) if isinstance(error, dict) else ResponseFailed(FAILED_TEXT)


def _read_cancelled(_: _WireResponse) -> ResponseFailed:
    return ResponseFailed("the response was cancelled by the server")


def _read_incomplete(response: _WireResponse) -> ResponseFailed:
    details = response.incomplete_details
    reason = reason_named(details.get("reason")) if isinstance(details, dict) else ""
    # A finish reason of complete responses says nothing about an incomplete one.
    cut = cut_short(reason) or CutShort("", UNKNOWN_REASON)
    return ResponseFailed(f"Incomplete response returned, reason: {reason or 'unknown'}", cut.code)


def _usage(wire: _WireUsage | None) -> ResponseUsage | None:
    if wire is None:
        return None
    read, written = wire.input_tokens_details or _Details(), wire.output_tokens_details or _Details()
    return ResponseUsage(
        input_tokens=wire.input_tokens,
        cached_input_tokens=read.cached_tokens or 0,
        cache_write_input_tokens=read.cache_write_tokens or 0,
        output_tokens=wire.output_tokens,
        reasoning_output_tokens=written.reasoning_tokens or 0,
        total_tokens=wire.input_tokens + wire.output_tokens if wire.total_tokens is None else wire.total_tokens,
    )


def _complaint(payload: bytes) -> ResponseFailed | None:
    complaint = find_complaint(_attempt(_decode_any, payload))
    return None if complaint is None else ResponseFailed(complaint.message, complaint.cause)


def _failed(error: Mapping[str, object]) -> ResponseFailed:
    code = error.get("code") or error.get("type")
    return ResponseFailed(str(error.get("message") or ""), code if isinstance(code, str) else None)


_READERS: Final[Mapping[str, EventReader]] = {
    "response.output_text.delta": _delta_reader(TextDelta),
    "response.reasoning_summary_text.delta": _delta_reader(ReasoningSummaryDelta),
    "response.reasoning_text.delta": _delta_reader(ReasoningDelta),
    "response.reasoning_summary_part.added": _read_section_break,
    "response.output_item.added": _read_begun,
    "response.output_item.done": _read_item,
}
_ENDS: Final[Mapping[str, Callable[[_WireResponse], Completed | ResponseFailed]]] = {
    "response.completed": _read_completed,
    "response.failed": _read_failed,
    "response.incomplete": _read_incomplete,
    "response.cancelled": _read_cancelled,
}
_STATUSES: Final[Mapping[str, str]] = {
    "failed": "response.failed",
    "incomplete": "response.incomplete",
    "cancelled": "response.cancelled",
}
"""The end of a response according to its status."""
