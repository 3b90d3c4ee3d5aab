"""Decodes files that people edit: UTF-8, with or without a byte order mark."""

import codecs
from typing import Final

_OTHERS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks of unsupported encodings; the first two are prefixes of the others."""
_LOOK: Final = 64
"""Bytes that reveal an encoding without a mark."""


class EncodingError(ValueError):
    """The text has an unsupported encoding. The error text completes a sentence, and says what to do."""


def decode_text(content: bytes) -> str:
    """Return the text. Raises `EncodingError` for UTF-16 and UTF-32, and `UnicodeDecodeError` for invalid UTF-8."""
    refuse_other_encodings(content)
    return content.removeprefix(codecs.BOM_UTF8).decode()


def refuse_other_encodings(content: bytes) -> None:
    """Raise `EncodingError` if a text begins like UTF-16 or UTF-32."""
    name = next((name for mark, name in _OTHERS if content.startswith(mark)), None) or _unmarked(content[:_LOOK])
    if name is not None:
        raise EncodingError(f"it is {name} text; save it as UTF-8")


def _unmarked(start: bytes) -> str | None:
    """Latin text in UTF-16 has a NUL byte in nearly every pair, while text in UTF-8 has none."""
    pairs = len(start) // 2
    return "UTF-16" if pairs and max(start[0::2].count(0), start[1::2].count(0)) * 2 >= pairs else None
