"""Repairs almost valid JSON text, such as text that a sender cut within a character, with the replacement character."""

import re
from typing import Final

_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def mended(text: bytes) -> bytes:
    """Return JSON text with the replacement character in place of broken UTF-8 and of lone surrogates."""
    return _ESCAPES.sub(_mended_escape, text.decode("utf-8", "replace").encode())


def _mended_escape(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if match[1] else match[0]
