"""Base of the messages between Greenroom's processes: structs that travel as msgpack and are validated on arrival.

They are structs rather than pydantic models because every process loads all of them, and importing pydantic alone takes
longer than the first call may (docs/decisions/0015-internal-messages-are-structs.md).
"""

import re
from functools import cache
from typing import Any, ClassVar, Final, TypeVar, dataclass_transform

import msgspec

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.guarded_struct import repr_without

MAX_HEADER: Final = 256 * 1024
"""Maximum bytes of a message; large data travels beside it, as payload."""

M = TypeVar("M", bound=msgspec.Struct)

_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Fixed(msgspec.StructMeta):
    """Applies the struct options that all messages share."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> "_Fixed":
        return super().__new__(
            mcs, name, bases, namespace, frozen=True, kw_only=True, forbid_unknown_fields=True, **config
        )


class Message(msgspec.Struct, metaclass=_Fixed):
    """Base of all messages and their parts: only keyword arguments, no unknown members."""

    withheld: ClassVar[frozenset[str]] = frozenset()
    """Members that `repr` leaves out."""

    def __repr__(self) -> str:
        return repr_without(self, self.withheld)


pack: Final = msgspec.msgpack.Encoder().encode
"""Encode a message as a msgpack map."""


def unpack(kind: type[M], data: bytes) -> M:
    """Decode and validate a message. Raises `RemoteProtocolError`, whose text does not repeat the data."""
    if len(data) > MAX_HEADER:
        raise RemoteProtocolError(f"header of {len(data)} bytes")
    try:
        message: M = _decoder(kind).decode(data)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(
            f"header of {kind.__name__} does not fit at {place_of(error) or 'its form'}"
        ) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"header of {kind.__name__} is no msgpack: {type(error).__name__}") from None
    return message


def prepare_decoders(*kinds: type[msgspec.Struct]) -> None:
    """Build the decoders in advance. A process that forks calls it once, so that its children share the result."""
    for kind in kinds:
        _decoder(kind)


@cache
def _decoder(kind: type[M]) -> "msgspec.msgpack.Decoder[M]":
    return msgspec.msgpack.Decoder(kind)


def place_of(error: msgspec.ValidationError) -> str:
    """Name the member that an error is about, or describe it if the name is not one of the message's; empty for the
    whole."""
    fault = str(error)
    if fault.startswith("Object contains unknown field"):
        return "a member that is not known"
    position, missing = _PLACE.search(fault), _MISSING.match(fault)
    steps = [*([position[1]] if position else []), *([missing[1]] if missing else [])]
    return ".".join(steps)
