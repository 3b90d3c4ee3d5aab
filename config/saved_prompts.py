"""The user's saved prompts: the Markdown files in the folder `prompts` of a home, and what their placeholders mean.

A file may begin with front matter between two lines `---`, of which `description` and `argument-hint` are read. In its
text `$1` to `$9` stand for positional arguments, `$ARGUMENTS` for all of them, and `$NAME` in capitals for a named one;
`$$` is a dollar sign.
"""

import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from greenroom.config.encoding import decode_text
from greenroom.config.reader import Reader
from greenroom.config.reason import reason

log = logging.getLogger(__name__)

FOLDER: Final = "prompts"
SUFFIX: Final = ".md"
MAX_BYTES: Final = 256 * 1024
"""Size of a file from which on it is no prompt."""
ALL: Final = "ARGUMENTS"

_PLACEHOLDER: Final = re.compile(r"\$(?:(?P<dollar>\$)|(?P<name>[1-9](?!\d)|[A-Z][A-Z0-9_]*+(?![a-z])))")
_FRONT: Final = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_ENTRY: Final = re.compile(r"^(description|argument-hint|argument_hint)[ \t]*:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)


class PromptArgumentError(ValueError):
    """An argument that a prompt needs was not given."""


class Argument(msgspec.Struct, frozen=True):
    """A placeholder of a prompt."""

    name: str
    """As it stands in the text, without the dollar sign."""
    required: bool


class SavedPrompt(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    """That of the file, without its suffix."""
    text: str
    description: str | None = None
    argument_hint: str | None = None

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """What it can be given: named ones, which it needs, and positional ones, which may be left out."""
        names = dict.fromkeys(match["name"] for match in _PLACEHOLDER.finditer(self.text) if match["name"])
        return tuple(Argument(name, required=_is_named(name)) for name in names)

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text with its placeholders replaced. Raises `PromptArgumentError`.

        Positional arguments that are not given are taken from `ARGUMENTS`, and the other way round.
        """
        missing = [argument.name for argument in self.arguments if argument.required and argument.name not in values]
        if missing:
            raise PromptArgumentError(f"prompt {self.name} needs a value for {', '.join(missing)}")
        known = {**_positional(values), **values}
        return _PLACEHOLDER.sub(lambda match: "$" if match["dollar"] else known.get(match["name"], ""), self.text)


def saved_prompts(home: str) -> list[SavedPrompt]:
    """Return the prompts of a home in the order of their names. What cannot be read is none."""
    return [prompt for name in _names(home) if (prompt := _read(home, name)) is not None]


def saved_prompt(home: str, name: str) -> SavedPrompt | None:
    """Return the prompt of a name, `None` where there is none."""
    return _read(home, name) if name in _names(home) else None


def prompts_state(home: str) -> frozenset[tuple[str, int, int]]:
    """Return what tells whether the prompts of a home have changed, from a look at their directory entries alone."""
    return frozenset(_stamps(home))


def _is_named(name: str) -> bool:
    return not name.isdigit() and name != ALL


def _positional(values: Mapping[str, str]) -> dict[str, str]:
    if ALL in values:
        words = _words(values[ALL])
        return {str(number): word for number, word in enumerate(words[:9], 1)}
    given = sorted(name for name in values if name.isdigit())
    return {ALL: " ".join(values[name] for name in given)}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark that is never closed
        return text.split()


def _names(home: str) -> list[str]:
    try:
        entries = os.listdir(os.path.join(home, FOLDER))
    except OSError:
        return []
    return sorted(entry[: -len(SUFFIX)] for entry in entries if entry.endswith(SUFFIX) and entry != SUFFIX)


def _read(home: str, name: str) -> SavedPrompt | None:
    path = os.path.join(home, FOLDER, name + SUFFIX)
    try:
        text = decode_text(Reader(home).read(path, MAX_BYTES))
    except (OSError, ValueError) as error:
        log.warning("%s is not offered as a prompt: %s", path, reason(error))
        return None
    front = _FRONT.match(text)
    if front is None:
        return SavedPrompt(name, text)
    told = {match[1].replace("_", "-"): _unquoted(match[2]) for match in _ENTRY.finditer(front[1])}
    return SavedPrompt(name, text[front.end() :], told.get("description") or None, told.get("argument-hint") or None)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _stamps(home: str) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(os.path.join(home, FOLDER)) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    facts = entry.stat()
                    yield entry.name, facts.st_mtime_ns, facts.st_size
    except OSError:
        return
