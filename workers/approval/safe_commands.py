"""Classifies commands as harmless, dangerous or unknown, by their words.

A harmless command reads and prints, writes no file and starts no program. A command that is not known to be harmless
(`greenroom.workers.approval.harmless_programs`) is unknown. The class dangerous is a hint for the user when no sandbox
limits a command; it does not protect against a command that disguises itself.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

from greenroom.workers.approval.harmless_programs import ANY_ARGUMENTS, PROGRAMS
from greenroom.workers.approval.trusted_script import trusted_commands
from greenroom.workers.exec.script import PlainCommand, Word

CommandClass: TypeAlias = Literal["harmless", "harmless_confined", "unknown", "dangerous"]
"""`harmless_confined` is harmless only in a read-only sandbox, because its working directory decides which programs it
starts."""

SYSTEM_DIRECTORIES: Final = ("/bin/", "/usr/bin/")
"""Directories in which a harmless name is certain to be that program."""

SHELLS: Final = frozenset({"bash", "sh", "zsh"})
SCRIPT_FLAGS: Final = frozenset({"-c", "-lc"})
DEEPEST_SCRIPT: Final = 8


def classify(argv: Sequence[str]) -> CommandClass:
    """Return the class of a command."""
    commands = _commands(argv)
    classes = {_harmlessness(command) for command in commands} if commands else {"unknown"}
    if classes <= {"harmless", "harmless_confined"}:
        return "harmless" if classes == {"harmless"} else "harmless_confined"
    return "dangerous" if _is_dangerous(tuple(argv), DEEPEST_SCRIPT) else "unknown"


def _commands(argv: Sequence[str]) -> Sequence[PlainCommand] | None:
    """Return the plain commands of a command: itself, or those of its script."""
    script = script_of(argv)
    return (PlainCommand(tuple(map(Word, argv))),) if script is None else trusted_commands(script)


def script_of(argv: Sequence[str]) -> str | None:
    """Return the script that an argv passes to a shell; `None` if it does not."""
    match argv:
        case [shell, flag, script] if program_name(shell) in SHELLS and flag in SCRIPT_FLAGS:
            return script
        case _:
            return None


def program_name(program: str) -> str:
    """Return the name of a program without its system directory. Other paths are returned unchanged."""
    directory = next((known for known in SYSTEM_DIRECTORIES if program.startswith(known)), "")
    return program.removeprefix(directory)


def _harmlessness(command: PlainCommand) -> CommandClass:
    name, words = program_name(command.argv[0]) if command.words else "", command.words[1:]
    if name in ANY_ARGUMENTS:
        return "harmless"
    program = PROGRAMS.get(name)
    if program is None or not program.is_harmless(words):
        return "unknown"
    return "harmless_confined" if program.needs_sandbox else "harmless"


# Dangerous

_WRAPPERS: Final = frozenset({"sudo", "env"})
_FORCE: Final = re.compile(r"-[^-]*f.*|--force")
_NAMED: Final = re.compile(r"\w+=.*", re.DOTALL)


def _is_dangerous(argv: Sequence[str], depth: int) -> bool:
    """Tell whether a command removes files without asking, also behind a wrapper or in a script."""
    if not argv or depth == 0:
        return False
    name = argv[0].rpartition("/")[2]
    if name == "rm":
        return any(map(_FORCE.fullmatch, _options(argv[1:])))
    if name in _WRAPPERS:
        return _is_dangerous(_wrapped(argv[1:]), depth - 1)
    script = script_of((name, *argv[1:]))
    commands = trusted_commands(script) if script is not None else None
    return any(_is_dangerous(command.argv, depth - 1) for command in commands or ())


def _options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "--":
            return
        yield word


def wrapped_command(argv: Sequence[str]) -> Sequence[str]:
    """Return the command that a wrapper such as `sudo` runs; nothing for any other command."""
    return _wrapped(argv[1:]) if argv and argv[0].rpartition("/")[2] in _WRAPPERS else ()


def _wrapped(words: Sequence[str]) -> Sequence[str]:
    """Return the command after the options and variables of a wrapper."""
    start = next(
        (index for index, word in enumerate(words) if not word.startswith("-") and not _NAMED.match(word)), None
    )
    return words[start:] if start is not None else ()
