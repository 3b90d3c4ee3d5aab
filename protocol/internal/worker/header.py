"""The form of all messages between the supervisor and a worker."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import ConversationId, Incarnation
from greenroom.protocol.message import Message, pack

H = TypeVar("H", bound="Header")


class Header(Message):
    """Base of all headers. `wire` is the kind frame that announces it."""

    wire: ClassVar[bytes]


class Addressed(Header):
    """A header that belongs to one incarnation of one conversation."""

    conversation_id: ConversationId
    incarnation: Incarnation


def message_frames(message: Header, payload: bytes = b"") -> list[bytes]:
    """Return the frames of a message."""
    return [message.wire, pack(message), payload]


def three_frames(parts: Sequence[bytes]) -> tuple[bytes, bytes, bytes]:
    """Return the frames of a message that has three. Raises `RemoteProtocolError`."""
    if len(parts) != 3:
        raise RemoteProtocolError(f"{len(parts)} frames in place of 3")
    return parts[0], parts[1], parts[2]


def known_kind(kinds: Mapping[bytes, type[H]], wire: bytes) -> type[H]:
    """Return the header that a kind frame announces. Raises `RemoteProtocolError`."""
    try:
        return kinds[wire]
    except KeyError:
        raise RemoteProtocolError(f"unknown kind {wire[:32]!r}") from None
