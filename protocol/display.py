"""Makes untrusted text safe to show to people: it can neither control a terminal nor hide anything.

Commands, file names and messages come from models, repositories and servers. `shown` is for text on which a decision is
based: every character that is invisible, or that changes how others look, is spelled out, so that no part of a text is
hidden. Letters that look alike are kept. `clean` is for tables and lists: it drops such characters.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Final

LIMIT: Final = 2000
"""Maximum length of a shown text; the middle of a longer one is replaced by its length."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs", "Me"})
"""Control, formatting (which can change the direction of text), surrogate, private and unassigned characters, blanks
other than the space, and enclosing marks."""
_IGNORABLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Invisible characters of other categories: Default_Ignorable_Code_Point of Unicode, and the empty Braille cell."""
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SIGNS: Final = {"\n": "⏎", "\t": "⇥"}
_OPENING: Final = re.compile(r"<(?=U\+|\d)")
"""Begins a replacement that only this module writes."""
_BLANKS: Final = re.compile(r" {9,}")
_MOST_MARKS: Final = 2
"""Combining marks on one letter; more would cover the neighbouring text."""
_CUT_BEGIN: Final = re.compile(r"^[A-Z0-9+]{0,8}[a-z0-9 ]{0,20}>")
_CUT_END: Final = re.compile(r"<(?:U(?:\+[0-9A-F]*)?|\d+[a-z ]*)?$")
"""A fragment of such a replacement, left where a text was cut."""


def shown(text: str, limit: int = LIMIT) -> str:
    """Return a text as one line of at most `limit` characters (at least 40) in which everything is visible.

    Line breaks are shown as `⏎`, tabs as `⇥`, long runs of blanks as their number, and other invisible characters as
    their code point, as in `<U+202E>`. Unless something was left out, the original can be told from the result.
    """
    spelled = "".join(_spelled(character) for character in _OPENING.sub(_code("<"), text))
    if not spelled.isascii():
        spelled = "".join(_with_few_marks(spelled))
    spelled = _BLANKS.sub(lambda run: f"<{len(run[0])} blanks>", spelled)
    return _shortened(spelled, limit)


def shown_lines(text: str, limit: int = LIMIT, most: int = 40) -> str:
    """Return a text of several lines, each as by `shown`; at most `most` lines, so that nothing is pushed out of
    sight."""
    lines = [shown(line, limit) for line in text.split("\n")]
    if len(lines) > most:
        left = len(lines) - most + 1
        half = (most - 1) // 2
        lines = [*lines[:half], f"<{left} lines left out>", *lines[len(lines) - (most - 1 - half) :]]
    return _shortened("\n".join(lines), limit)


def clean(text: str) -> str:
    """Return a text as one line that is safe to print: white space collapsed to single spaces, control characters
    dropped."""
    return " ".join("".join(_safe(character) for character in text).split())


def clean_lines(text: str) -> list[str]:
    """Return the lines of a text, each safe to print; spaces are kept."""
    return ["".join(_safe(character) for character in line) for line in text.splitlines()]


def _spelled(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character in _SIGNS:
        return _SIGNS[character]
    return _code(character) if _is_unseen(character) or character in _SIGNS.values() else character


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or _IGNORABLE.match(character) is not None


def _with_few_marks(text: str) -> Iterator[str]:
    for is_mark, run in groupby(text, _is_mark):
        marks = list(run)
        yield "".join(map(_code, marks) if is_mark and len(marks) > _MOST_MARKS else marks)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


def _code(character: str) -> str:
    return f"<U+{ord(character):04X}>"


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    room = max(0, limit - len(f"<{len(text)} characters left out>"))
    head = _CUT_END.sub("", text[: room - room // 3])
    tail = _CUT_BEGIN.sub("", text[len(text) - room // 3 :])
    return f"{head}<{len(text) - len(head) - len(tail)} characters left out>{tail}"


def _safe(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _DROPPED or _IGNORABLE.match(character) is not None else character
