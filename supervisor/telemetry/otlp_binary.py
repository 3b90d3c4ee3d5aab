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
_SHORT: Final = 64
"""Characters of a text that may be kept for the next attribute with the same value; most texts are the same again."""
_BYTE: Final = tuple(bytes((number,)) for number in range(0x80))
_fixed64: Final = struct.Struct("<Q").pack
_fixed32: Final = struct.Struct("<I").pack
_double: Final = struct.Struct("<d").pack


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
    if longest is not None:
        attributes = {name: value[:longest] if isinstance(value, str) else value for name, value in attributes.items()}
    return [
        _pair(name, value) if type(value) is str and len(value) > _SHORT else _known_pair(name, value)
        for name, value in attributes.items()
        if type(value) is not int or -_BEYOND <= value < _BEYOND
    ]


def _pair(name: str, value: Scalar) -> bytes:
    held = _value(value)
    return sized(_key(name) + varint(len(held)) + held)


_known_pair: Final = lru_cache(maxsize=2048, typed=True)(_pair)


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


def trace_part(trace_id: bytes, state: str) -> bytes:
    """Return the part that all spans of a trace have in common."""
    return b"\x0a\x10" + trace_id + (b"\x1a" + sized(state.encode()) if state else b"")


def span_event(name: str, at: float, pairs: Pairs) -> bytes:
    """Return an event of a span as a part of it; `at` is in seconds since the epoch."""
    body = b"\x1a".join((b"\x09" + _fixed64(nanoseconds(at)) + _named(b"\x12", name), *pairs))
    return b"\x5a" + varint(len(body)) + body


def span(
    span_id: bytes,
    parent: bytes,
    name: str,
    kind: int,
    times: tuple[float, float],
    *,
    flags: int,
    failed: bool,
    parts: Iterable[bytes],
) -> bytes:
    """Return a span. `times` are its start and its end; `parts` are further fields, encoded."""
    start, end = times
    return b"".join(
        (
            b"\x12\x08" + span_id,
            b"\x22\x08" + parent if parent else b"",
            _named(b"\x2a", name),
            b"\x30" + varint(kind) + b"\x39" + _fixed64(nanoseconds(start)) + b"\x41" + _fixed64(nanoseconds(end)),
            *parts,
            b"\x7a\x02\x18\x02" if failed else b"",
            b"\x85\x01" + _fixed32(flags),
        )
    )


def log_part(name: str, severity: int, pairs: Pairs) -> bytes:
    """Return the part that all log records of an event have in common; `pairs` are attributes of theirs."""
    return b"\x32".join((b"\x10" + varint(severity) + _named(b"\x62", name), *pairs))


def log_record(
    part: bytes, at: float, observed: int, pairs: Pairs, trace_id: bytes, span_id: bytes, flags: int
) -> bytes:
    """Return a log record. `part` is that of `log_part`, `at` in seconds since the epoch, `observed` in nanoseconds."""
    place = b"\x45" + _fixed32(flags) + b"\x4a\x10" + trace_id + b"\x52\x08" + span_id if trace_id else b""
    moments = b"\x09" + _fixed64(nanoseconds(at)) + b"\x59" + _fixed64(observed)
    return b"\x32".join((part, *pairs)) + place + moments


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
