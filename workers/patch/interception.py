"""Recognizes commands that only apply a patch, in any spelling.

There is no program of that name, so such a command is handled here or not at all. The text of the patch must be in the
script itself: as an argument, in a here-document or here-string, or piped from `cat`, `echo` or `printf`. Any other use
of the program, for instance with other commands around it, is rejected with a reason rather than run without its patch.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from greenroom.workers.patch.literal import WORD, printed, split_words, unquoted

_SHELLS: Final = frozenset({"bash", "sh", "zsh"})
_SHELL_FLAGS: Final = frozenset({"-lc", "-c"})

_NAME: Final = r"(?:apply_patch|applypatch)"
_OPENING: Final = r"""<<(?P<tabs>-?)[ \t]*(?P<delimiter>'[^'\n]+'|"[^"\n\\$`]+"|\\?\w+)"""
_DOCUMENT: Final = rf"{_OPENING}[ \t]*\n(?P<document>.*)"
_BEFORE: Final = rf"\s*(?:cd[ \t]+(?P<directory>{WORD})[ \t]*&&\s*)?"
_PIPE: Final = rf"[ \t]*\|[ \t]*\n?[ \t]*{_NAME}(?:[ \t]+-)?"

_FORMS: Final = tuple(
    re.compile(_BEFORE + form, re.DOTALL)
    for form in (
        rf"{_NAME}(?:[ \t]+-)?[ \t]*{_DOCUMENT}",
        rf"{_NAME}[ \t]*<<<[ \t]*(?P<argument>{WORD})\s*",
        rf"{_NAME}[ \t]+(?P<argument>{WORD})\s*",
        rf"""{_NAME}[ \t]+"?\$\([ \t]*cat[ \t]*{_DOCUMENT}\)"?\s*""",
        rf"cat(?:[ \t]+-)?[ \t]*{_OPENING}(?:[ \t]+-)?{_PIPE}[ \t]*\n(?P<document>.*)",
        rf"(?P<printer>echo|printf)(?P<printed>(?:[ \t]+{WORD})+){_PIPE}\s*",
    )
)
"""The names of the program."""

_ATTEMPT: Final = re.compile(
    r"(?:\A|[\n;&|({`!]|\b(?:then|do|else|exec|command|env|sudo|time|xargs|nohup|bash|sh)[ \t])\s*"
    rf"{_NAME}(?=[\s<>;&|)`]|\Z)"
)
"""Matches a call of the program, in a script without its quoted texts and here-documents."""
_QUOTED: Final = re.compile(r"""\\.|'[^']*'|"(?:[^"\\]|\\.)*"|(?<![\w$])\#[^\n]*""", re.DOTALL)
_HERE: Final = re.compile(
    r"""<<(?P<tabs>-?)[ \t]*(?:'(?P<single>[^'\n]+)'|"(?P<double>[^"\n]+)"|\\?(?P<bare>\w+))(?P<rest>[^\n]*\n)"""
)


class PatchCall(msgspec.Struct, frozen=True):
    """A command that only applies a patch."""

    body: str
    """The text of the patch, unparsed."""
    directory: str | None = None
    """The directory to which the command changes first, as written; may be relative to that of the call."""

    def cwd(self, base: str) -> str:
        """Return the absolute directory to which the paths of the patch are relative. `base` is that of the call."""
        return os.path.normpath(os.path.join(base, self.directory or ""))


class PatchRefused(msgspec.Struct, frozen=True):
    """A command that applies a patch in an unsupported way; running it would not apply the patch."""

    reason: str
    """The message to the model."""


Recognised: TypeAlias = PatchCall | PatchRefused | None
"""`None` for a command that does not apply a patch."""

_ONE_ARGUMENT: Final = PatchRefused("apply_patch was not run: it takes one argument, the whole text of the patch")
_NOT_PLAIN: Final = PatchRefused(
    "apply_patch was not run: it has to be the only command of its script, written as\n"
    "apply_patch <<'EOF'\n*** Begin Patch\n…\n*** End Patch\nEOF\n"
    "with nothing behind it and at most `cd DIRECTORY &&` before it. Run other commands in a call of their own."
)


def recognise(argv: Sequence[str]) -> Recognised:
    """Classify a command as it would be executed."""
    match list(argv):
        case ["apply_patch" | "applypatch", *arguments]:
            return PatchCall(arguments[0]) if len(arguments) == 1 else _ONE_ARGUMENT
        case [shell, flag, script] if os.path.basename(shell) in _SHELLS and flag in _SHELL_FLAGS:
            return recognise_script(script)
    return None


def recognise_script(script: str) -> Recognised:
    """Classify a script, parsed like a shell does, except that nothing in a here-document is expanded."""
    for form in _FORMS:
        found = form.fullmatch(script)
        call = _call(found.groupdict()) if found else None
        if call is not None:
            return call
    return _NOT_PLAIN if _ATTEMPT.search(_without_texts(script)) else None


def _call(found: Mapping[str, str | None]) -> PatchCall | None:
    directory = unquoted(found["directory"] or "")
    body = next(read(found) for name, read in _READERS.items() if found.get(name) is not None)
    if body is None or directory is None or directory.startswith("-"):
        return None
    return PatchCall(body, directory or None)


def _document(found: Mapping[str, str | None]) -> str | None:
    """Return the body of a here-document, `None` if anything follows it. If unterminated, it extends to the end."""
    delimiter = (unquoted(found["delimiter"] or "") or "").removeprefix("\\")
    lines = [line.lstrip("\t") if found["tabs"] else line for line in (found["document"] or "").split("\n")]
    end = lines.index(delimiter) if delimiter in lines else len(lines)
    if any(line.strip() for line in lines[end + 1 :]):
        return None
    return "\n".join(lines[:end]).rstrip("\n")


def _argument(found: Mapping[str, str | None]) -> str | None:
    return unquoted(found["argument"] or "")


def _printed(found: Mapping[str, str | None]) -> str | None:
    arguments = split_words(found["printed"] or "")
    text = None if arguments is None else printed(found["printer"] or "", arguments)
    return None if text is None else text.rstrip("\n")


_READERS: Final[Mapping[str, Callable[[Mapping[str, str | None]], str | None]]] = {
    "document": _document,
    "argument": _argument,
    "printed": _printed,
}


def _without_texts(script: str) -> str:
    """Return a script without quoted words, comments, and here-documents."""
    kept: list[str] = []
    position = 0
    while position < len(script):
        quoted = _QUOTED.match(script, position)
        if quoted:
            kept.append("x")
            position = quoted.end()
        elif here := _HERE.match(script, position):
            kept.append("x" + _without_texts(here["rest"]))
            position = _end_of_document(script, here)
        else:
            kept.append(script[position])
            position += 1
    return "".join(kept)


def _end_of_document(script: str, here: re.Match[str]) -> int:
    delimiter = here["single"] or here["double"] or here["bare"]
    position = here.end()
    while position < len(script):
        line, newline, _ = script[position:].partition("\n")
        position += len(line) + len(newline)
        if (line.lstrip("\t") if here["tabs"] else line) == delimiter:
            break
    return position
