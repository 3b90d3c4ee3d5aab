"""One recorded item of a history, encoded once for all requests."""

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject, as_list, is_known_item, sent_form
from greenroom.protocol.user_messages import is_user_message
from greenroom.workers.model.chat.members import MEMBER

IMAGE_WEIGHT: Final = 4_000
"""Weight of an image in an item in bytes, whatever its size: about as much as it costs the model."""

_IMAGES: Final = re.compile(rb'"image_url":"(data:[^"]*)"').findall
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


class HistoryEntry(msgspec.Struct, frozen=True):
    """One recorded item: its encoding in requests, and the members by which it is found."""

    type: str
    role: str | None
    call_id: str | None
    is_user: bool
    """Whether the user wrote it; false for messages of the context."""
    encoded: bytes
    """The item in requests as JSON; empty for one that requests leave out."""
    weight: int
    """Size in bytes, an image counted as `IMAGE_WEIGHT`. Four bytes make about one token."""
    with_members: bytes = b""
    """The item with the members of its answer, for chat servers; empty where it has none."""

    @property
    def item(self) -> JsonObject:
        """The item in requests; empty for one that they leave out."""
        return _decode(self.encoded or b"{}")

    @property
    def members(self) -> JsonObject:
        """The members of the answer, which chat servers get back; empty where there are none."""
        members = _decode(self.with_members)[MEMBER] if self.with_members else {}
        return members if isinstance(members, dict) else {}


def recorded(items: Iterable[JsonObject]) -> list[HistoryEntry]:
    """Return the entries of the items that are recorded, in their order."""
    return [entry for entry in map(entry_of, items) if entry is not None]


def entry_of(item: JsonObject) -> HistoryEntry | None:
    """Return the entry of an item; `None` for a system message and for an item of an unknown type."""
    if not is_known_item(item) or item.get("role") == "system":
        return None
    sent = sent_form(item)
    role, call_id = item.get("role"), item.get("call_id")
    if item["type"] == "local_shell_call":
        call_id = call_id or item.get("id")
    encoded = b"" if sent is None else _encoded(sent)
    members = item.get(MEMBER)
    with_members = _encoded(_with_members(item, sent, members)) if isinstance(members, dict) and members else b""
    return HistoryEntry(
        type=str(item["type"]),
        role=role if isinstance(role, str) else None,
        call_id=call_id if isinstance(call_id, str) else None,
        is_user=is_user_message(item),
        encoded=encoded,
        weight=_weight(max(encoded, with_members, key=len)),
        with_members=with_members,
    )


def _with_members(item: JsonObject, sent: JsonObject | None, members: JsonObject) -> JsonObject:
    return {**(sent or {"type": item["type"], "content": as_list(item.get("content"))}), MEMBER: members}


def _encoded(item: JsonObject) -> bytes:
    try:
        return _encode(item)
    except UnicodeEncodeError:
        return _encode(_without_surrogates(item))


def _weight(encoded: bytes) -> int:
    images = _IMAGES(encoded) if b'"data:' in encoded else []
    return len(encoded) + sum(IMAGE_WEIGHT - len(image) for image in images)


def _without_surrogates(value: object) -> object:
    """Replace surrogates, which stand for undecodable bytes, as in the name of a file: JSON cannot express them."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_without_surrogates(name): _without_surrogates(member) for name, member in value.items()}
        case list():
            return [_without_surrogates(member) for member in value]
        case _:
            return value
