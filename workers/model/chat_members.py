"""Collects the members of a chat answer beside its text and its calls from their pieces. Free of I/O.

Reasoning servers expect some of them back: `reasoning_content`, `reasoning_details`, the signature of a thought. Which
ones differs by server, and new ones appear; so all are kept under the server's name, except those known to be useless.
"""

from collections.abc import Mapping
from typing import Final

MEMBER: Final = "chat"
"""Member of an item, in the history and in the session file, for what is sent back only to a chat server: names as the
server wrote them; `null` stands for the text of the item itself."""

THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought", "thoughts")
"""Names of the member with the text of the model's reasoning. Some servers send it under two of them."""

DETAILS: Final = "reasoning_details"

READ: Final = frozenset({"content", "refusal", "tool_calls", "function_call"})
"""Members that are interpreted elsewhere."""

PASSING: Final = frozenset(
    {
        *("role", "name", "index", "type", "object", "id", "audio", "images", "annotations", "citations"),
        *("logprobs", "token_ids", "obfuscation", "channel", "finish_reason", "tool_call_id", "created", "model"),
    }
)
"""Members that are known not to be expected back."""

DEFAULTS: Final = "chat_members"
"""Type of an item at the beginning of a request's items; it has the members that every assistant message must have,
with their values where the server has sent none."""

_WHOLE: Final = frozenset({"type", "id", "index", "format", "object"})
"""Texts that each piece repeats rather than continues."""
_SEALED: Final = ("data", "signature")
"""Texts that arrive whole: two of them belong to two thoughts."""


def is_kept(name: str) -> bool:
    """Tell whether a member of a message is kept."""
    return name not in READ and name not in PASSING and name not in THOUGHTS


def is_empty(value: object) -> bool:
    """Tell whether a member has no content."""
    return value is None or value in ("", [], {})


def joined(name: str, old: object, new: object) -> object:
    """Return a member extended by its next piece: texts and lists are concatenated, objects are merged member by
    member."""
    match old, new:
        case str(), str() if name not in _WHOLE:
            return old + new
        case list(), list():
            return _with_elements(old, new)
        case dict(), dict():
            return merged(old, new)
        case _:
            return old if new is None else new


def merged(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Return an object with each of its members extended by the next piece."""
    return {**old, **{name: joined(name, old.get(name), value) for name, value in new.items()}}


def _with_elements(old: list[object], new: list[object]) -> list[object]:
    """Append elements to a list. An element with the same index and type as an earlier one is merged into that."""
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
