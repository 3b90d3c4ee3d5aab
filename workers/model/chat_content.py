"""Extracts text from the content of a message in the forms that chat servers use, as JSON strings. Free of I/O.

Content is a text, a list of parts, or one part. Any other form is rejected with `UnreadableError`: an answer without
one of its parts would look complete.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.jsontext import mended

SHOWN: Final = 80
"""Maximum characters of unreadable content in an error text."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder().decode
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class UnreadableError(Exception):
    """An answer has an unknown form. The text says which."""


class Said(NamedTuple):
    """A piece of the model's text."""

    token: bytes
    """A JSON string, quotes included; never an empty one."""
    is_thought: bool = False


_TEXTS: Final[Mapping[str, str]] = {
    "": "text",
    "text": "text",
    "output_text": "text",
    "text_delta": "text",
    "refusal": "refusal",
}
"""Types of parts with text for the user, and the member that holds it."""
_THOUGHTS: Final[Mapping[str, str]] = {
    "thinking": "thinking",
    "thought": "text",
    "reasoning": "text",
    "reasoning_text": "text",
    "summary_text": "text",
}
_SILENT: Final = frozenset({"reference", "redacted_thinking"})
"""Types of parts without text."""


def read_content(raw: bytes) -> list[Said]:
    """Return the pieces of a member `content`. Raises `UnreadableError`."""
    if raw.startswith(b'"'):
        text = token(raw)
        return [Said(text)] if text else []
    return list(_said(decoded(raw)))


def read_text(raw: bytes, name: str) -> bytes:
    """Return the JSON string of a member that is a text or absent. Raises `UnreadableError`."""
    if raw in (b"", b"null") or raw.startswith(b'"'):
        return token(raw)
    raise UnreadableError(f"the member `{name}` of the answer is no text: {shown(raw)}")


def read_thought(raw: bytes) -> bytes:
    """Return the JSON string of a member with reasoning, in any form; empty if it has no text."""
    if raw.startswith(b'"'):
        return token(raw)
    text = "".join(_thought_texts(decoded(raw)))
    return _encode(text) if text else b""


def token(raw: bytes) -> bytes:
    """Return the JSON string in a member; nothing if there is none, or an empty one."""
    if len(raw) < 3 or not raw.startswith(b'"'):
        return b""
    return raw if raw.isascii() else _valid(raw)


def decoded(raw: bytes) -> object:
    """Return the value of a member. Raises `UnreadableError`."""
    try:
        return _decode(raw)
    except UNREADABLE:
        pass
    try:
        return _decode(mended(raw))
    except UNREADABLE:
        raise UnreadableError(f"a member of the answer is no JSON: {shown(raw)}") from None


def shown(raw: bytes) -> str:
    """Return the beginning of some bytes for an error text."""
    return raw[: SHOWN * 4].decode("utf-8", "replace").strip()[:SHOWN]


def _said(content: object) -> Iterator[Said]:
    match content:
        case None | {}:
            if content:
                yield from _part(content)
        case str():
            if content:
                yield Said(_encode(content))
        case [*parts]:
            for part in parts:
                yield from _said(part)
        case _:
            raise UnreadableError(f"the content of the answer is neither text nor parts: {shown(_encode(content))}")


def _part(part: Mapping[str, object]) -> Iterator[Said]:
    kind = part.get("type") or ""
    if kind in _SILENT:
        return
    if kind in _THOUGHTS:
        text = "".join(_thought_texts(part))
        if text:
            yield Said(_encode(text), is_thought=True)
        return
    if not isinstance(kind, str) or kind not in _TEXTS:
        raise UnreadableError(f"the answer has a part of an unknown type: {shown(str(kind).encode())}")
    match part.get(_TEXTS[kind], part.get("content") if kind == "text" else None):
        case None if kind and _TEXTS[kind] in part:
            return
        case str(text) | {"value": str(text)}:
            if text:
                yield Said(_encode(text))
        case _:
            raise UnreadableError(f"a part of the answer has no text: {shown(_encode(part))}")


def _thought_texts(thought: object) -> Iterator[str]:
    match thought:
        case str():
            yield thought
        case [*parts]:
            for part in parts:
                yield from _thought_texts(part)
        case dict():
            names = ("thinking", "text", "summary", "content")
            yield from _thought_texts(next((thought[name] for name in names if thought.get(name)), None))


def _valid(raw: bytes) -> bytes:
    # The decoder has checked the escapes, but not UTF-8.
    try:
        raw.decode()
    except UnicodeDecodeError:
        return mended(raw)
    return raw
