"""Reads a shell script whose commands may be judged by their words: those that any shell and any reader reads alike."""

import re
from typing import Final

from greenroom.workers.exec.script import PlainCommand, Word, plain_commands

_NAME: Final = re.compile(r"[\w./][\w./+-]*", re.ASCII)
_EXCLAMATION: Final = re.compile(r"""(?!['"])(?:\\.|[^\\!])*!""", re.DOTALL)


def trusted_commands(script: str) -> tuple[PlainCommand, ...] | None:
    """Return the commands of a plain script; `None` where one of them has a name or a word that is out of the ordinary.

    The names are ASCII letters, digits, and a few signs; no word has a `!` outside of quotes.
    """
    commands = plain_commands(script)
    return commands if commands is not None and all(map(_is_ordinary, commands)) else None


def _is_ordinary(command: PlainCommand) -> bool:
    return bool(_NAME.fullmatch(command.words[0].written)) and not any(map(_exclaims, command.words))


def _exclaims(word: Word) -> bool:
    return bool(_EXCLAMATION.match(word.written))
