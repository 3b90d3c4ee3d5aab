"""Conversion between words and shell text.

A POSIX shell and `shell_split` read the text of `shell_join` as the same words.

`shlex` is not used because the text is part of the wire form, whose style of quotes is the reference's.
"""

import re
from collections.abc import Iterator, Sequence
from string import ascii_letters, digits
from typing import Final

_BARE: Final = frozenset(ascii_letters + digits + "+-./:@]_")
_NOT_IN_SINGLE: Final = frozenset("'\\")
_NOT_IN_DOUBLE: Final = frozenset("`$!^")
_SPECIAL_IN_DOUBLE: Final = re.compile(r'(["\\])')


def shell_join(words: Sequence[str]) -> str:
    """Write words as one line of shell text. Words with a NUL, which no shell accepts, are not quoted."""
    if any("\0" in word for word in words):
        return " ".join(words)
    return " ".join(quote(word) for word in words)


def quote(word: str) -> str:
    """Write one word as shell text, in the fewest chunks that one style of quotes can hold each."""
    return "".join(_chunks(word)) or "''"


def _chunks(word: str) -> Iterator[str]:
    start = 0
    while start < len(word):
        end, single = _reach(word, start)
        yield _quoted(word[start:end], single)
        start = end


def _reach(word: str, start: int) -> tuple[int, bool]:
    """Find where the chunk that begins at `start` has to end, and whether single quotes can contain it."""
    single = double = True
    for index in range(start, len(word)):
        character = word[index]
        single_too = single and character not in _NOT_IN_SINGLE and (character != "^" or index == start)
        double_too = double and character not in _NOT_IN_DOUBLE
        if not (single_too or double_too):
            return index, single
        single, double = single_too, double_too
    return len(word), single


def _quoted(chunk: str, single: bool) -> str:
    if _BARE.issuperset(chunk):
        return chunk
    if single:
        return f"'{chunk}'"
    return '"' + _SPECIAL_IN_DOUBLE.sub(r"\\\1", chunk) + '"'


_WORD: Final = re.compile(
    r"""(?P<bare>[^\s'"\\]+) | '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | \\(?P<escaped>.)""",
    re.VERBOSE | re.DOTALL,
)
_BLANK_OR_COMMENT: Final = re.compile(r"(?:\s+|\\\n|\#[^\n]*)*")


def shell_split(text: str) -> list[str] | None:
    """Parse shell text as words, without expanding anything; `None` where a quote is left open.

    A `#` at the start of a word begins a comment, as it does in a shell.
    """
    words: list[str] = []
    position = _skip_blank(text, 0)
    while position < len(text):
        word = ""
        while position < len(text) and not text[position].isspace():
            part = _WORD.match(text, position)
            if part is None:
                return None
            word += _plain(part)
            position = part.end()
        words.append(word)
        position = _skip_blank(text, position)
    return words


def _skip_blank(text: str, position: int) -> int:
    blank = _BLANK_OR_COMMENT.match(text, position)
    return blank.end() if blank else position


def _plain(part: re.Match[str]) -> str:
    kind, value = part.lastgroup, part[part.lastgroup or 0]
    if kind == "double":
        return re.sub(r'\\(["\\$`\n])', lambda match: "" if match[1] == "\n" else match[1], value)
    return "" if kind == "escaped" and value == "\n" else value
