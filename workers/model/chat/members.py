"""What a chat server says of an answer beside its text and its calls, put together from pieces; free of I/O.

Servers that think want some of it back: `reasoning_content`, `reasoning_details`, the signature of a thought. What that
is differs, and grows; so all is kept under the name that the server gave it, but for what is known to be of no use.
"""

from collections.abc import Mapping
from typing import Final

MEMBER: Final = "chat"
"""Member of an item, in the history and in the session file, that holds what goes back to a chat server only: names as
the server wrote them, `null` standing for the text of the item itself."""

THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought", "thoughts")
"""Names of the member that holds the text of the model's reasoning. Some servers send it under two of them."""

DETAILS: Final = "reasoning_details"

READ: Final = frozenset({"content", "refusal", "tool_calls", "function_call"})
"""Members that have a reader of their own."""

PASSING: Final = frozenset(
    {
        *("role", "name", "index", "type", "object", "id", "audio", "images", "annotations", "citations"),
        *("logprobs", "token_ids", "obfuscation", "channel", "finish_reason", "tool_call_id", "created", "model"),
    }
)
"""Members that are known not to be wanted back."""

DEFAULTS: Final = "chat_members"
"""Type of what stands before the items of a request and holds the members that every message of the assistant must
have, with what they say where the server has said nothing."""

_WHOLE: Final = frozenset({"type", "id", "index", "format", "object"})
"""Texts that are repeated in each piece, and not continued."""
_SEALED: Final = ("data", "signature")
"""Texts that come whole: two of them belong to two thoughts."""


def is_kept(name: str) -> bool:
    """Tell whether a member of a message is kept."""
    return name not in READ and name not in PASSING and name not in THOUGHTS


def is_empty(value: object) -> bool:
    """Tell whether a member says nothing."""
    return value is None or value in ("", [], {})


def joined(name: str, old: object, new: object) -> object:
    """Return a member with its next piece: texts and lists go on, objects are put together member by member."""
    match old, new:
        case str(), str() if name not in _WHOLE:
            return old + new
        case list(), list():
            return _with_elements(old, new)
        case dict(), dict():
            return merged_members(old, new)
        case _:
            return old if new is None else new


def merged_members(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return an object with the next piece of each of its members."""
    return {**old, **{name: joined(name, old.get(name), value) for name, value in new.items()}}


def _with_elements(old: list[object], new: list[object]) -> list[object]:
    """Add elements to a list. One that continues an earlier one has the same index and type, and joins that."""
    elements, before = list(old), len(old)
    for element in new:
        place = next((at for at in range(before) if _continues(elements[at], element)), None)
        if place is None:
            elements.append(element)
        else:
            elements[place] = joined("", elements[place], element)
    return elements


def _continues(old: object, new: object) -> bool:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    index = new.get("index")
    same = index is not None and index == old.get("index") and new.get("type") in (None, old.get("type"))
    return same and not any(old.get(name) and new.get(name) for name in _SEALED)
