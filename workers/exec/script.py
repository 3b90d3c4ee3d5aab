"""Reads a shell script that is nothing but plain commands, with the full grammar of bash, and refuses every other.

What is accepted consists of words joined by `&&`, `||`, `;`, `|` and newlines, each read as bash would read it. So the
commands are all that the script does, but for what bash makes of patterns, which are marked.
"""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_LONGEST: Final = 65536
_JOINTS: Final = frozenset({"&&", "||", ";", "|", "\n"})
_TRANSPARENT: Final = frozenset({"program", "list", "pipeline"})
_ODD: Final = re.compile(r"[^\n\t -~]")
_FOREIGN: Final = re.compile(r"[][$`(){}<>&|;\"'\\]")
_KEYWORDS: Final = frozenset(
    {
        *("!", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"),
        *("select", "then", "time", "until", "while"),
    }
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_IN_DOUBLE: Final = re.compile(r'\\(["\\$`])')
_PATTERN: Final = re.compile(r"(?:^|[=:])~|[*?]")


class Word(msgspec.Struct, frozen=True):
    """One word of a command."""

    text: str
    pattern: bool = False
    """Whether bash may replace it by other words: by names of files, or a home directory."""
    written: str = ""
    """As the script has it, with its quotes; empty for a word that is of no script."""


class PlainCommand(msgspec.Struct, frozen=True):
    """One command, in the order in which it is written."""

    words: tuple[Word, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """The words, patterns as they stand."""
        return tuple(word.text for word in self.words)

    @property
    def written(self) -> tuple[str, ...]:
        """The words as the script has them, without their quotes."""
        return tuple(word.written[1:-1] if word.written[0] in "'\"" else word.written for word in self.words)


def plain_commands(script: str) -> tuple[PlainCommand, ...] | None:
    """Return the commands of a script; `None` where it has none, or is anything but plain."""
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


def commands_within(script: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of every command that a script seems to contain, however deep, each up to the first word that
    cannot be read. To be used only against the script: it may run others besides.
    """
    found = []
    waiting = [_parser().parse(script.encode(errors="replace")).root_node]
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        if node.type == "command" and (words := _first_words(node)):
            found.append(words)
    return tuple(found)


def _first_words(node: "Node") -> tuple[str, ...]:
    words: list[str] = []
    for child in node.children:
        if child.type == "variable_assignment":
            continue
        inner = child.children[0] if child.type == "command_name" and len(child.children) == 1 else child
        word = _word(inner)
        if word is None:
            break
        words.append(word.text)
    return tuple(words)


def _has_odd_characters(script: str) -> bool:
    """Tell whether there are characters that bash and the grammar may split or join differently."""
    return any(character.isspace() or not character.isprintable() for character in _ODD.findall(script))


def preload_grammar() -> None:
    """Import the grammar and build the parser, for a process that forks others which need it."""
    _parser()


@functools.cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _leaves_of_structure(root: "Node") -> Iterator["Node"]:
    """Walk down to the commands and what joins them, in order; scripts can be nested deeper than Python may recurse."""
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
    return node.type == "word" and _text(node) not in _KEYWORDS


def _word(node: "Node") -> Word | None:
    text = _text(node)
    match node.type:
        case "word" | "number":
            return _bare(text)
        case "raw_string":
            return Word(text[1:-1], written=text)
        case "string":
            return _double_quoted(text)
        case _:
            return None


def _bare(text: str) -> Word | None:
    unquoted = _ESCAPED.sub("", text)
    if _FOREIGN.search(unquoted) or "\\\n" in text:
        return None
    return Word(_ESCAPED.sub(r"\1", text), bool(_PATTERN.search(unquoted)), text)


def _double_quoted(text: str) -> Word | None:
    inner = text[1:-1]
    if not inner or "\n" in inner or re.search(r"[$`]", _ESCAPED_IN_DOUBLE.sub("", inner)):
        return None
    return Word(_ESCAPED_IN_DOUBLE.sub(r"\1", inner), written=text)


def _has_gaps(root: "Node", source: bytes) -> bool:
    """Say whether the grammar has passed over anything but blanks, or cut a word in two."""
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
