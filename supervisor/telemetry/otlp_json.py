"""The JSON encoding of OTLP: that of protobuf, but with ids in hexadecimal and enumerations as numbers. Free of I/O.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

CONTENT_TYPE: Final = "application/json"
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


def otlp_json(message: Message) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(_with_hexadecimal_ids(MessageToDict(message, use_integers_for_enums=True)))


def _with_hexadecimal_ids(value: Any) -> Any:
    """Return the same with ids in hexadecimal, which were in base64 as all bytes are.

    The names of attributes are values in the messages, so that no attribute is taken for an id.
    """
    match value:
        case dict():
            return {
                name: base64.b64decode(one).hex() if name in _IDS else _with_hexadecimal_ids(one)
                for name, one in value.items()
            }
        case list():
            return [_with_hexadecimal_ids(one) for one in value]
        case _:
            return value
