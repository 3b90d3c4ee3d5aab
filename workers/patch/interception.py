"""Recognises a command that is nothing but a patch, however it is spelled (spec/agent-core 7.6).

No program of that name exists: such a command is handled here or not at all. So one that begins with the name but holds
anything else, before, behind or inside, is refused with a reason rather than run without its patch.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

_SHELLS: Final = frozenset({"bash", "sh", "zsh"})
_SHELL_FLAGS: Final = frozenset({"-lc", "-c"})

_NAME: Final = r"(?:apply_patch|applypatch)"
_WORD: Final = r"""(?:[\w%+,./:@-]|'[^']*'|"[^"\\$`]*")+"""
"""A word of shell text that a shell takes as it stands, but for the quotes."""

_SCRIPT: Final = re.compile(
    rf"""\s*
    (?:cd[ \t]+(?P<directory>(?!-){_WORD})[ \t]*&&\s*)?
    {_NAME}
    (?: [ \t]*<<(?P<tabs>-?)[ \t]*(?P<delimiter>'[^'\n]+'|"[^"\n\\$`]+"|\\?\w+)[ \t]*\n(?P<document>.*)
      | [ \t]+(?P<argument>{_WORD})\s*
    )""",
    re.VERBOSE | re.DOTALL,
)
_ATTEMPT: Final = re.compile(rf"\s*(?:cd[ \t][^\n;&|]*(?:&&|;|\n)\s*)?{_NAME}(?=[\s<>;&|]|\Z)")
_QUOTES: Final = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass(frozen=True, slots=True)
class PatchCall:
    """A command that is to apply a patch and does nothing else."""

    body: str
    """The text of the patch, not yet read."""
    directory: str | None = None
    """Where the command goes first, as it says; it may be relative to the directory of the call."""

    def cwd(self, base: str) -> str:
        """Return the absolute directory that the paths of the patch are relative to. `base` is that of the call."""
        return os.path.normpath(os.path.join(base, self.directory or ""))


@dataclass(frozen=True, slots=True)
class PatchRefused:
    """A command that asks for a patch but not plainly; running it would not apply the patch."""

    reason: str
    """What the model is told."""


Recognised: TypeAlias = PatchCall | PatchRefused | None
"""`None` for every command that has nothing to do with patches."""

_ONE_ARGUMENT: Final = PatchRefused("apply_patch was not run: it takes one argument, the whole text of the patch")
_NOT_PLAIN: Final = PatchRefused(
    "apply_patch was not run: it has to be the only command of its script, written as\n"
    "apply_patch <<'EOF'\n*** Begin Patch\n…\n*** End Patch\nEOF\n"
    "with nothing behind it and at most `cd DIRECTORY &&` before it. Run other commands in a call of their own."
)


def recognise(argv: Sequence[str]) -> Recognised:
    """Look at a command as it would be executed."""
    match list(argv):
        case ["apply_patch" | "applypatch", *arguments]:
            return PatchCall(arguments[0]) if len(arguments) == 1 else _ONE_ARGUMENT
        case [shell, flag, script] if os.path.basename(shell) in _SHELLS and flag in _SHELL_FLAGS:
            return recognise_script(script)
    return None


def recognise_script(script: str) -> Recognised:
    """Look at a command as a shell would read it, except that nothing in a here-document is expanded."""
    found = _SCRIPT.fullmatch(script)
    call = _call(found) if found else None
    if call is None and _ATTEMPT.match(script):
        return _NOT_PLAIN
    return call


def _call(found: re.Match[str]) -> PatchCall | None:
    directory = None if found["directory"] is None else _unquoted(found["directory"])
    if found["argument"] is not None:
        return PatchCall(_unquoted(found["argument"]), directory)
    body = _document(found["document"], _unquoted(found["delimiter"]).removeprefix("\\"), bool(found["tabs"]))
    return None if body is None else PatchCall(body, directory)


def _document(text: str, delimiter: str, strip_tabs: bool) -> str | None:
    """Return the body of a here-document, `None` where anything follows it. Unterminated, it is all there is."""
    lines = [line.lstrip("\t") if strip_tabs else line for line in text.split("\n")]
    end = lines.index(delimiter) if delimiter in lines else len(lines)
    if any(line.strip() for line in lines[end + 1 :]):
        return None
    return "\n".join(lines[:end]).rstrip("\n")


def _unquoted(word: str) -> str:
    return _QUOTES.sub(lambda quoted: quoted[1] or quoted[2] or "", word)
