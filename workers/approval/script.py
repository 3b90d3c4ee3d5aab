"""Parses a shell script that consists only of plain commands, with the full grammar of bash, and rejects all others.

An accepted script consists of words joined by `&&`, `||`, `;`, `|` and newlines, each word parsed as by bash. So the
commands are all that the script does, except for the expansion of patterns, which are marked.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_LONGEST: Final = 65536
_JOINTS: Final = frozenset({"&&", "||", ";", "|", "\n"})
_TRANSPARENT: Final = frozenset({"program", "list", "pipeline"})
_ODD: Final = re.compile(r"[^\n\t -~]")
_FOREIGN: Final = re.compile(r"[][$`(){}<>&|;!\"'\\]")
_NAME: Final = re.compile(r"[\w./][\w./+-]*", re.ASCII)
_KEYWORDS: Final = frozenset(
    {
        *("!", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"),
        *("select", "then", "time", "until", "while"),
    }
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_IN_DOUBLE: Final = re.compile(r'\\(["\\$`])')
_PATTERN: Final = re.compile(r"(?:^|[=:])~|[*?]")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command."""

    text: str
    pattern: bool = False
    """Whether bash may expand it: to names of files, or a home directory."""


@dataclass(frozen=True, slots=True)
class PlainCommand:
    """One command, in the order in which it is written."""

    words: tuple[Word, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """The words, with patterns unexpanded."""
        return tuple(word.text for word in self.words)


def plain_commands(script: str) -> tuple[PlainCommand, ...] | None:
    """Return the commands of a script; `None` if it has none, or contains anything else."""
    if len(script) > _LONGEST or _has_odd_characters(script):
        return None
    source = script.encode()
    tree = _parser().parse(source)
    if tree.root_node.has_error:
        return None
    commands: list[PlainCommand] = []
    for node in _leaves_of_structure(tree.root_node):
        if node.type == "command":
            command = _command(node)
            if command is None:
                return None
            commands.append(command)
        elif node.is_named or node.type not in _JOINTS:
            return None
    return tuple(commands) if commands and not _has_gaps(tree.root_node, source) else None


def _has_odd_characters(script: str) -> bool:
    """Tell whether there are characters that bash and the grammar may split or join differently."""
    return any(character.isspace() or not character.isprintable() for character in _ODD.findall(script))


def preload() -> None:
    """Import the grammar and build the parser. A process that forks calls it, so that its children share the result."""
    _parser()


@functools.cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _leaves_of_structure(root: "Node") -> Iterator["Node"]:
    """Yield the commands and their operators in order, iteratively, since scripts can be nested deeper than Python can
    recurse."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in _TRANSPARENT:
            waiting.extend(reversed(node.children))
        else:
            yield node


def _command(node: "Node") -> PlainCommand | None:
    if not node.children or node.children[0].type != "command_name":
        return None
    name, *arguments = node.children
    if len(name.children) != 1:
        return None
    words = [_word(name.children[0]), *map(_word, arguments)]
    if any(word is None for word in words) or not _names_a_command(name.children[0]):
        return None
    return PlainCommand(tuple(word for word in words if word is not None))


def _names_a_command(node: "Node") -> bool:
    text = _text(node)
    return node.type == "word" and text not in _KEYWORDS and bool(_NAME.fullmatch(text))


def _word(node: "Node") -> Word | None:
    text = _text(node)
    match node.type:
        case "word" | "number":
            return _bare(text)
        case "raw_string":
            return Word(text[1:-1])
        case "string":
            return _double_quoted(text)
        case _:
            return None


def _bare(text: str) -> Word | None:
    unquoted = _ESCAPED.sub("", text)
    if _FOREIGN.search(unquoted) or "\\\n" in text:
        return None
    return Word(_ESCAPED.sub(r"\1", text), bool(_PATTERN.search(unquoted)))


def _double_quoted(text: str) -> Word | None:
    inner = text[1:-1]
    if not inner or "\n" in inner or re.search(r"[$`]", _ESCAPED_IN_DOUBLE.sub("", inner)):
        return None
    return Word(_ESCAPED_IN_DOUBLE.sub(r"\1", inner))


def _has_gaps(root: "Node", source: bytes) -> bool:
    """Tell whether the grammar has skipped anything but blanks, or split a word."""
    end = 0
    between_words = False
    for node in _terminals(root):
        gap = source[end : node.start_byte]
        if gap.strip(b" \t\n"):
            return True
        is_word = node.type not in _JOINTS
        if is_word and between_words and not gap:
            return True
        between_words, end = is_word, node.end_byte
    return bool(source[end:].strip(b" \t\n"))


def _terminals(root: "Node") -> Iterator["Node"]:
    for node in _leaves_of_structure(root):
        if node.type == "command":
            yield from node.children
        else:
            yield node


def _text(node: "Node") -> str:
    return (node.text or b"").decode()
