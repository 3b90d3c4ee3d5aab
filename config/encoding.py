"""Text of files that people edit: UTF-8, with or without the byte order mark that some editors put before it."""

import codecs
from typing import Final

_OTHERS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Marks of encodings that are not read; the first two begin as one of the others does."""
_LOOK: Final = 64
"""Bytes that tell an encoding that has no mark."""


class EncodingError(ValueError):
    """The text is in an encoding that is not read. Its text ends a sentence, and says what to do."""


def decoded(content: bytes) -> str:
    """Return the text. Raises `EncodingError` for UTF-16 and UTF-32, and `UnicodeDecodeError` for what is no UTF-8."""
    refuse_other_encodings(content)
    return content.removeprefix(codecs.BOM_UTF8).decode()


def refuse_other_encodings(content: bytes) -> None:
    """Raise `EncodingError` where the beginning of a text shows that it is in UTF-16 or UTF-32."""
    name = next((name for mark, name in _OTHERS if content.startswith(mark)), None) or _unmarked(content[:_LOOK])
    if name is not None:
        raise EncodingError(f"it is {name} text; save it as UTF-8")


def _unmarked(start: bytes) -> str | None:
    """Latin text in UTF-16 has a NUL in nearly every pair of bytes, and text in UTF-8 has none."""
    pairs = len(start) // 2
    return "UTF-16" if pairs and max(start[0::2].count(0), start[1::2].count(0)) * 2 >= pairs else None
