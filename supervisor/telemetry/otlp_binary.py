"""The binary encoding of records of OTLP, written without objects of protobuf. Free of I/O.

An object of protobuf for each attribute takes several times as long as its bytes. The numbers of fields are those of
https://github.com/open-telemetry/opentelemetry-proto; texts that cannot be encoded raise `ValueError`. Ids of traces
have 16 bytes, those of spans 8.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Attributes: TypeAlias = dict[str, Scalar]
Pairs: TypeAlias = Sequence[bytes]
"""Attributes: messages `KeyValue`, each behind its length and without the number of the field that it is in."""

LATEST: Final = 18e9
"""Seconds since the epoch; nanoseconds of later moments do not fit their field."""
_BEYOND: Final = 2**63
"""The least integer that is too large."""
_BYTE: Final = tuple(bytes((number,)) for number in range(0x80))
_uint16: Final = struct.Struct("<H").pack
_fixed32: Final = struct.Struct("<I").pack
_double: Final = struct.Struct("<d").pack
_moment: Final = struct.Struct("<BQ").pack
"""Fields, each with its number: here and below."""
_moments: Final = struct.Struct("<BQBQ").pack
_own_part: Final = struct.Struct("<2s8sBQBQ").pack
_place_part: Final = struct.Struct("<BI2s16s2s8s").pack


def varint(number: int) -> bytes:
    """Return a whole number, from 0 up, in the encoding of lengths and integers."""
    if number < 0x80:
        return _BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def sized(content: bytes) -> bytes:
    """Return bytes behind their length."""
    return varint(len(content)) + content


def pairs(attributes: Mapping[str, Scalar], longest: int | None = None) -> list[bytes]:
    """Return attributes as messages have them. An integer that they cannot hold is left out.

    `longest` is how many characters a text may have; the rest is cut off.
    """
    return [
        _text_pair(name, value[:longest]) if isinstance(value, str) else _pair(name, value)
        for name, value in attributes.items()
        if type(value) is not int or -_BEYOND <= value < _BEYOND
    ]


@lru_cache(maxsize=512)
def _text_pair(name: str, text: str) -> bytes:
    """Return an attribute whose text is often the same again."""
    return _pair(name, text)


class Attribute:
    """An attribute that many records have, each with another value: what is before the value is encoded once."""

    __slots__ = ("_before_byte", "_before_double", "_before_two_bytes", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._before_byte = _pair(name, 0)[:-1]
        self._before_two_bytes = _pair(name, 0x80)[:-2]
        self._before_double = _pair(name, 0.0)[:-8]

    def integer(self, value: int) -> bytes:
        """Return it with an integer, or with the nearest that a message can hold."""
        if 0 <= value < 0x80:
            return self._before_byte + _BYTE[value]
        if 0 <= value < 0x4000:
            return self._before_two_bytes + _uint16(value & 0x7F | 0x80 | (value & 0x3F80) << 1)
        return _pair(self._name, max(-_BEYOND, min(value, _BEYOND - 1)))

    def double(self, value: float) -> bytes:
        """Return it with a number."""
        return self._before_double + _double(value)

    def text(self, value: str) -> bytes:
        """Return it with a text."""
        held = value.encode()
        return _before_text(self._name, len(held)) + held


@lru_cache(maxsize=512)
def _before_text(name: str, size: int) -> bytes:
    """Return what is before a text of so many bytes."""
    value = b"\x0a" + varint(size)
    head = _key(name) + varint(len(value) + size) + value
    return varint(len(head) + size) + head


def _pair(name: str, value: Scalar) -> bytes:
    held = _value(value)
    return sized(_key(name) + varint(len(held)) + held)


@lru_cache(maxsize=512)
def _key(name: str) -> bytes:
    return b"\x0a" + sized(name.encode()) + b"\x12"


def _value(value: Scalar) -> bytes:
    """Return a message `AnyValue`."""
    match value:
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + varint(value if value >= 0 else value + 2 * _BEYOND)
        case float():
            return b"\x21" + _double(value)
        case _:
            return b"\x0a" + sized(value.encode())


def nanoseconds(at: float) -> int:
    """Return a moment in seconds since the epoch as messages have it, 0 for one that they cannot hold."""
    return round(at * 1e9) if 0.0 <= at <= LATEST else 0


def span_attributes(pairs: Pairs) -> bytes:
    """Return attributes as a part of a span."""
    return b"\x4a".join((b"", *pairs))


def span_event(name: str, at: int, pairs: Pairs) -> bytes:
    """Return an event of a span as a part of it; `at` is in nanoseconds since the epoch."""
    body = b"\x1a".join((_moment(0x09, at) + _named(b"\x12", name), *pairs))
    return b"\x5a" + varint(len(body)) + body


def trace_part(trace_id: bytes, state: str) -> bytes:
    """Return the part that all spans of a trace have in common."""
    return b"\x0a\x10" + trace_id + (b"\x1a" + sized(state.encode()) if state else b"")


def span_part(name: str, kind: int, flags: int) -> bytes:
    """Return the part that all spans of a name have in common, but for their attributes."""
    return _named(b"\x2a", name) + b"\x30" + varint(kind) + b"\x85\x01" + _fixed32(flags)


def span(span_id: bytes, parent: bytes, start: int, end: int, parts: Iterable[bytes], *, failed: bool = False) -> bytes:
    """Return a span. `start` and `end` are in nanoseconds since the epoch; `parts` are further fields, encoded."""
    own = _own_part(b"\x12\x08", span_id, 0x39, start, 0x41, end)
    above = b"\x22\x08" + parent if parent else b""
    return b"".join((own, above, *parts, b"\x7a\x02\x18\x02" if failed else b""))


def log_part(name: str, severity: int, pairs: Pairs) -> bytes:
    """Return the part that all log records of an event have in common; `pairs` are attributes of theirs."""
    return b"\x32".join((b"\x10" + varint(severity) + _named(b"\x62", name), *pairs))


def place_part(trace_id: bytes, span_id: bytes, flags: int) -> bytes:
    """Return the part that all log records of a span have in common."""
    return _place_part(0x45, flags, b"\x4a\x10", trace_id, b"\x52\x08", span_id)


def log_record(part: bytes, place: bytes, at: int, observed: int, pairs: Pairs) -> bytes:
    """Return a log record.

    `part` is that of `log_part`, `place` that of `place_part` or empty, `at` and `observed` are in nanoseconds since
    the epoch.
    """
    return b"\x32".join((part, *pairs)) + place + _moments(0x09, at, 0x59, observed)


@lru_cache(maxsize=512)
def _named(number: bytes, text: str) -> bytes:
    """Return a field with a name, of which there are few."""
    return number + sized(text.encode())


def request(resource: bytes, scope: bytes, records: Iterable[bytes]) -> bytes:
    """Return a message of records of one scope of one resource, which are encoded messages of theirs.

    Spans and log records have the same numbers here: a request has resources, a resource scopes, and a scope records.
    """
    scoped = b"".join((scope, *(part for record in records for part in (b"\x12", varint(len(record)), record))))
    return b"\x0a" + sized(resource + b"\x12" + sized(scoped))
