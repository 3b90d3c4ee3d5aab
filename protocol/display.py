"""Text of others made fit to be shown to people: nothing in it steers a terminal, and nothing in it hides.

Commands, file names and messages come from models, repositories and servers. `shown` is for text that somebody decides
by: every character that cannot be seen, or that changes how others are seen, is spelled out, so that two different
texts never look the same. `clean` is for tables and lists, where such characters are just left out.
"""

import re
import unicodedata
from typing import Final

LIMIT: Final = 2000
"""Characters that a text may have as it is shown; what is too much is left out in the middle, with its length."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs", "Me"})
"""Control, formatting (which turns the direction of writing), surrogate, private and unassigned characters, blanks
other than the space, and marks that enclose others."""
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f")
"""Characters of other categories that are as good as invisible."""
_VARIATIONS: Final = range(0xFE00, 0xFE10)
"""Selectors that terminals disagree about."""
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SIGNS: Final = {"\n": "⏎", "\t": "⇥"}
_OPENING: Final = re.compile(r"<(?=U\+|\d)")
"""Begins what only this module writes."""
_BLANKS: Final = re.compile(r" {9,}")
_MARKS: Final = re.compile(r"[\u0300-\u036f]{3,}")
"""More marks on one letter than any language has: they cover what stands beside it."""


def shown(text: str, limit: int = LIMIT) -> str:
    """Return a text as one line of at most `limit` characters in which everything can be seen.

    Line breaks are `⏎`, tabs `⇥`, long runs of blanks their number, and all else that is invisible its code point,
    as in
    `<U+202E>`. Unless something was left out, the text can be told from the result.
    """
    spelled = "".join(_spelled(character) for character in _OPENING.sub(_code("<"), text))
    spelled = _MARKS.sub(lambda run: "".join(map(_code, run[0])), spelled)
    spelled = _BLANKS.sub(lambda run: f"<{len(run[0])} blanks>", spelled)
    return _shortened(spelled, limit)


def shown_lines(text: str, limit: int = LIMIT, most: int = 40) -> str:
    """Return a text of several lines, each as `shown`; at most `most` lines, so that nothing is pushed out of sight."""
    lines = [shown(line, limit) for line in text.split("\n")]
    if len(lines) > most:
        left = len(lines) - most + 1
        half = (most - 1) // 2
        lines = [*lines[:half], f"<{left} lines left out>", *lines[len(lines) - (most - 1 - half) :]]
    return _shortened("\n".join(lines), limit)


def clean(text: str) -> str:
    """Return a text as one line that is safe to print: single spaces for all white space, without what else steers."""
    return " ".join("".join(_safe(character) for character in text).split())


def clean_lines(text: str) -> list[str]:
    """Return the lines of a text, each safe to print; spaces stay as they are."""
    return ["".join(_safe(character) for character in line) for line in text.splitlines()]


def _spelled(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character in _SIGNS:
        return _SIGNS[character]
    return _code(character) if _is_unseen(character) or character in _SIGNS.values() else character


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or character in _BLANK_LETTERS or ord(character) in _VARIATIONS


def _code(character: str) -> str:
    return f"<U+{ord(character):04X}>"


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    room = limit - len(f"<{len(text)} characters left out>")
    head = max(0, room - room // 3)
    tail = max(0, room) - head
    left = len(text) - head - tail
    return f"{text[:head]}<{left} characters left out>{text[len(text) - tail :]}"[:limit]


def _safe(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _DROPPED or ord(character) in _VARIATIONS else character
