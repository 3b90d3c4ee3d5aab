"""Parses a shell script that consists only of plain commands, and rejects every other.

A script may be trusted for its words only if they are all that it does. So this parser knows harmless syntax only: bare
and quoted words, and the operators between commands. It rejects everything else.
"""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t]+)
      | (?P<joint>&&|\|\||;|\||\n)
      | (?P<single>'[^']*')
      | (?P<double>"(?:[^"\\$`\n]|\\[^\n])+")
      | (?P<bare>(?:[^\s'"\\$`&|;<>(){}\[\]\#]|\\\S|\\\ |(?<=[^\s&|;])\#)+)
    """,
    re.VERBOSE,
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=")
_KEYWORD: Final = re.compile(
    r"!|case|coproc|declare|do|done|elif|else|esac|export|fi|for|function|if|in|local|readonly|select|then|time|typeset"
    r"|unset|unsetenv|until|while"
)
_WORD_KINDS: Final = frozenset({"single", "double", "bare"})


def plain_commands(script: str) -> list[list[str]] | None:
    """Return the commands of the script in order, each as its words; `None` where it is not plain.

    Backslashes are kept unchanged.
    """
    commands: list[list[str]] = []
    words: list[str] = []
    owed = False
    for kind, text in _tokens(script):
        if kind in _WORD_KINDS:
            if not words and not _names_a_command(kind, text):
                return None
            words.append(text if kind == "bare" else text[1:-1])
            owed = False
        elif kind == "joint" and words:
            commands.append(words)
            words, owed = [], text in {"&&", "||", "|"}
        elif kind != "joint" or text != "\n":
            return None
    if words:
        commands.append(words)
    return None if owed or not commands else commands


def _tokens(script: str) -> Iterator[tuple[str, str]]:
    """Yield words and operators; the kind `foreign` is for other text, or for two words without a gap."""
    position, after_word = 0, False
    while position < len(script):
        token = _TOKEN.match(script, position)
        kind = str(token.lastgroup) if token else "foreign"
        is_word = kind in _WORD_KINDS
        if token is None or (is_word and after_word):
            yield "foreign", script[position:]
            return
        if kind != "blank":
            yield kind, token[0]
        position, after_word = token.end(), is_word


def _names_a_command(kind: str, text: str) -> bool:
    return kind == "bare" and not _KEYWORD.fullmatch(text) and not _ASSIGNMENT.match(text)
