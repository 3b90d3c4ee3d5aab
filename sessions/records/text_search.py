"""Looks for a text in the passages of a conversation, in any case, by the lines of its session file. Free of I/O.

Most lines are passed over undecoded. A line that is pure ASCII and has no escaped characters can only tell of the text
if it holds the longest word of it. Letters that fold to ASCII, such as the Kelvin sign, are why all others are decoded.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject, is_known_item
from greenroom.sessions.records.chronicle import chronicle
from greenroom.sessions.records.passage import passage_of

_WORD: Final = re.compile(r"[a-z0-9]+")
_ALWAYS: Final = (b"\\u", b"input_image")
"""What the letters of a passage may be made from that are not in its line."""
_decode: Final = msgspec.json.Decoder(JsonObject).decode


class TextSearch:
    """A text that is looked for."""

    def __init__(self, text: str) -> None:
        self._text = text.casefold()
        self._word = max(_WORD.findall(self._text), key=len, default="").encode()

    def is_in(self, text: str) -> bool:
        """Tell whether a text contains it."""
        return self._text in text.casefold()

    def may_be_told(self, lines: Iterable[bytes]) -> bool:
        """Tell whether a passage of these lines contains it; it may be one of a turn that was rolled back."""
        return any(self._may_hold(line) and self._is_told_by(line) for line in lines)

    def is_told(self, lines: Iterable[bytes]) -> bool:
        """Tell whether a passage of the conversation contains it, which takes longer."""
        passages = (passage_of(told.item) for told in chronicle(lines).told)
        return any(passage is not None and self.is_in(passage.text) for passage in passages)

    def _may_hold(self, line: bytes) -> bool:
        return self._word in line.lower() or not line.isascii() or any(mark in line for mark in _ALWAYS)

    def _is_told_by(self, line: bytes) -> bool:
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
        item = record.get("payload", record)
        if not isinstance(item, dict) or not is_known_item(item):
            return False
        passage = passage_of(item)
        return passage is not None and self.is_in(passage.text)
