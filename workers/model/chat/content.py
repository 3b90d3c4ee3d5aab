"""The content of a message in the forms that chat servers give it, as JSON strings; free of I/O.

It is a text, or a list of parts, or one part. What is in none of these forms is refused with `UnreadableError`: an
answer of which a piece was dropped would look like a whole one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.jsontext import mended

SHOWN: Final = 80
"""Characters that an error repeats of what it cannot read."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder().decode
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class UnreadableError(Exception):
    """An answer has a form that is not known. The text says which."""


class TextPart(NamedTuple):
    """A piece of what the model said."""

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
"""Types of parts that hold nothing to read."""


def read_content(raw: bytes) -> list[TextPart]:
    """Return what a member `content` says. Raises `UnreadableError`."""
    if raw.startswith(b'"'):
        text = token(raw)
        return [TextPart(text)] if text else []
    return list(_parts(decoded_content(raw)))


def read_text(raw: bytes, name: str) -> bytes:
    """Return the JSON string of a member that holds a text or nothing. Raises `UnreadableError`."""
    if raw in (b"", b"null") or raw.startswith(b'"'):
        return token(raw)
    raise UnreadableError(f"the member `{name}` of the answer is no text: {shown_content(raw)}")


def read_thought(raw: bytes) -> bytes:
    """Return the JSON string of a member with reasoning, whatever its form; empty where it has no text."""
    if raw.startswith(b'"'):
        return token(raw)
    text = "".join(_thought_texts(decoded_content(raw)))
    return _encode(text) if text else b""


def token(raw: bytes) -> bytes:
    """Return the JSON string that a member holds; nothing where it holds none, or an empty one."""
    if len(raw) < 3 or not raw.startswith(b'"'):
        return b""
    return raw if raw.isascii() else _valid(raw)


def decoded_content(raw: bytes) -> object:
    """Return the value of a member. Raises `UnreadableError`."""
    try:
        return _decode(raw)
    except UNREADABLE:
        pass
    try:
        return _decode(mended(raw))
    except UNREADABLE:
        raise UnreadableError(f"a member of the answer is no JSON: {shown_content(raw)}") from None


def shown_content(raw: bytes) -> str:
    """Return the beginning of some bytes as an error repeats it."""
    return raw[: SHOWN * 4].decode("utf-8", "replace").strip()[:SHOWN]


def _parts(content: object) -> Iterator[TextPart]:
    match content:
        case None | {}:
            if content:
                yield from _part(content)
        case str():
            if content:
                yield TextPart(_encode(content))
        case [*parts]:
            for part in parts:
                yield from _parts(part)
        case _:
            raise UnreadableError(
                f"the content of the answer is neither text nor parts: {shown_content(_encode(content))}"
            )


def _part(part: Mapping[str, object]) -> Iterator[TextPart]:
    kind = part.get("type") or ""
    if kind in _SILENT:
        return
    if kind in _THOUGHTS:
        text = "".join(_thought_texts(part))
        if text:
            yield TextPart(_encode(text), is_thought=True)
        return
    if not isinstance(kind, str) or kind not in _TEXTS:
        raise UnreadableError(f"the answer has a part of an unknown type: {shown_content(str(kind).encode())}")
    match part.get(_TEXTS[kind], part.get("content") if kind == "text" else None):
        case None if kind and _TEXTS[kind] in part:
            return
        case str(text) | {"value": str(text)}:
            if text:
                yield TextPart(_encode(text))
        case _:
            raise UnreadableError(f"a part of the answer has no text: {shown_content(_encode(part))}")


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
