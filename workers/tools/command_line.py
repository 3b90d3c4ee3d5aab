"""Parses a command in the forms in which models write it. Free of I/O, except for one file check.

A command is a list of a program and its arguments, or a shell script. Models confuse the two: they write the list as a
string, or put the whole script into a list of one element. A list is never run as a shell script.
"""

import ast
import os
import re
import shlex
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from greenroom.workers.tools.arguments import PREFIX, UNREADABLE
from greenroom.workers.tools.types import ToolFailure

WORKDIR_NAMES: Final = {"cwd": "workdir", "working_directory": "workdir", "working_dir": "workdir"}
"""Alternative names of the working directory."""

_SHELLS: Final = frozenset({"bash", "sh", "zsh", "dash"})
_decode: Final = msgspec.json.Decoder(Any).decode

_TEST: Final = re.compile(r"\[\[?\s")
"""How a shell's `[` and `[[` tests begin."""
_SPECIAL: Final = re.compile(r"[\s;&|<>()$`\\\"'*?\[\]{}~#!]")
"""Characters that a mere program name does not contain."""


def argv_or_script(command: str | Sequence[str], extra: Sequence[str], base: str) -> tuple[str, ...] | str:
    """Return the program and its arguments, or the shell script. Raises `ToolFailure` if it is neither.

    `extra` are arguments given separately; `base` is the working directory.
    """
    found = _of_text(command) if isinstance(command, str) else _of_list(tuple(command), base)
    if not extra:
        return found
    if isinstance(found, str):
        if _SPECIAL.search(found) or not found:
            raise _failure("`args` can only follow a `command` that is a list or the name of a program")
        found = (found,)
    return (*found, *extra)


def _of_text(text: str) -> tuple[str, ...] | str:
    stripped = text.strip()
    if stripped.startswith("["):
        found = _listed(stripped)
        if found is not None:
            return found
    if stripped.startswith("{") and isinstance(_parsed(stripped), dict):
        raise _failure("`command` is an object; give the list or the text alone")
    return text


def _of_list(argv: tuple[str, ...], base: str) -> tuple[str, ...] | str:
    if not argv:
        return argv
    first = argv[0].strip()
    if len(argv) == 1 and first.startswith(("[", "{")):
        return _of_text(argv[0])
    if not re.search(r"\s", first) or os.path.isfile(os.path.join(base, argv[0])):
        return argv
    if len(argv) == 1:
        return _of_text(argv[0])
    shell = _split(first)
    return (*shell, *argv[1:]) if shell and os.path.basename(shell[0]) in _SHELLS else argv


def _listed(text: str) -> tuple[str, ...] | None:
    """Return the list in a string; `None` if it is a test of a shell."""
    value = _parsed(text)
    if value is None:
        value = _literal(text)
    if not isinstance(value, list):
        if _TEST.match(text):
            return None
        raise _failure("`command` begins like a list and is no JSON; give a list of texts, or a text for the shell")
    if not all(isinstance(word, str) for word in value):
        raise _failure("`command` is a list of which not every member is a text")
    return tuple(value)


def _parsed(text: str) -> object:
    try:
        return _decode(text)
    except UNREADABLE:
        return None


def _literal(text: str) -> object:
    """Parse a list in Python syntax, with single quotes."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _failure(text: str) -> ToolFailure:
    return ToolFailure(PREFIX + text)
