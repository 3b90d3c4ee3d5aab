"""Describes a command in a few words: it reads, lists, searches, or is unknown.

The summaries are for display only and decide nothing.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from greenroom.protocol.events.command import Listing, ParsedCommand, Reading, Searching, UnknownCommand
from greenroom.protocol.quoting import shell_join, shell_split
from greenroom.workers.exec.script import plain_commands

_CONNECTORS: Final = frozenset({"&&", "||", "|", ";"})
_TEXT_FILTERS: Final = frozenset({"awk", "column", "cut", "printf", "sort", "tee", "tr", "uniq", "wc", "xargs", "yes"})
_ANSWERS: Final = frozenset({"yes", "y", "no", "n"})
_SED_RANGE: Final = re.compile(r"\d+(,\d+)?p")
_COUNT: Final = {"head": re.compile(r"\d+"), "tail": re.compile(r"\+?\d+")}
_TELLS_NOTHING: Final = frozenset({"build", "dist", "node_modules", "src"})
_TEST_PROGRAMS: Final = frozenset({("cargo", "test"), ("go", "test"), ("pytest",), ("jest",), ("vitest",)})
_PACKAGE_MANAGERS: Final = frozenset({"npm", "pnpm", "yarn"})
_TEST_SCRIPTS: Final = frozenset({"test", "unit", "jest", "vitest"})
_QUERY_FLAGS: Final = frozenset({"-name", "-iname", "-path", "-regex"})

_LS_VALUES: Final = frozenset({"-I", "-w", "--block-size", "--format", "--time-style", "--color", "--quoting-style"})
_FD_VALUES: Final = frozenset({"-t", "--type", "-e", "--extension", "-E", "--exclude", "--search-path"})
_NL_VALUES: Final = frozenset({"-s", "-w", "-v", "-i", "-b"})


class _Read(msgspec.Struct, frozen=True):
    cmd: str
    path: str

    def public(self) -> ParsedCommand:
        return Reading(self.cmd, _short(self.path), self.path)


class _ListFiles(msgspec.Struct, frozen=True):
    cmd: str
    path: str | None

    def public(self) -> ParsedCommand:
        return Listing(self.cmd, None if self.path is None else _short(self.path))


class _Search(msgspec.Struct, frozen=True):
    cmd: str
    query: str | None
    path: str | None

    def public(self) -> ParsedCommand:
        return Searching(self.cmd, self.query, None if self.path is None else _short(self.path))


class _Other(msgspec.Struct, frozen=True):
    """A command that is not shown to clients. The role only serves to leave it out."""

    cmd: str
    words: tuple[str, ...] = ()
    role: Literal["unknown", "test", "noop"] = "unknown"

    def public(self) -> ParsedCommand:
        return UnknownCommand(self.cmd)


_Summary: TypeAlias = _Read | _ListFiles | _Search | _Other


def summarize(argv: Sequence[str]) -> list[ParsedCommand]:
    """Return the `parsed_cmd` of a command: one for each part that matters, at least one."""
    match list(argv):
        case ["bash", "-lc", script]:
            parts = _of_script(script)
        case words:
            parts = _of_words(words)
    return [part.public() for index, part in enumerate(parts) if index == 0 or part != parts[index - 1]]


def _of_script(script: str) -> list[_Summary]:
    commands = [list(command.written) for command in plain_commands(script) or ()]
    telling = [words for words in commands if not _is_helper(words)]
    parts = [_of_command(words) for words in telling]
    if len(parts) > 1:
        parts = [part for part in parts if not (isinstance(part, _Other) and part.role == "noop")] or parts[:1]
    match parts:
        case []:
            return [_Other(script)]
        case [part]:
            return [replace(part, cmd=_command_of_only_part(part, script, len(commands)))]
        case _:
            return parts


def _command_of_only_part(part: _Summary, script: str, commands: int) -> str:
    if isinstance(part, _Other):
        return part.cmd if part.role == "test" else script
    words = shell_split(script) or []
    if isinstance(part, _Read) and "|" in words and ("sed", "-n") in pairwise(words):
        return script
    return shell_join(words) if commands == 1 and _CONNECTORS.isdisjoint(words) else part.cmd


def _is_helper(words: list[str]) -> bool:
    """Tell whether a command only formats the output of another."""
    match words[0]:
        case "head" | "tail":
            return len(words) < 3
        case "sed":
            return not (len(words) >= 4 and words[1] == "-n" and _SED_RANGE.fullmatch(words[2]))
        case program:
            return program in _TEXT_FILTERS


def _of_words(argv: list[str]) -> list[_Summary]:
    if len(argv) > 2 and argv[0] in _ANSWERS and argv[1] == "|":
        argv = argv[2:]
    if argv[:2] == ["bash", "-c"] and len(argv) == 3:
        words = shell_split(argv[2])
        if words is None:
            return [_Other(argv[2])]
        argv = words
    parts = [_of_command(words) for words in _between_connectors(argv)]
    while len(parts) > 1 and (superfluous := _superfluous(parts)) is not None:
        del parts[superfluous]
    return parts or [_Other(shell_join(argv))]


def _between_connectors(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in _CONNECTORS:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _superfluous(parts: list[_Summary]) -> int | None:
    for index, part in enumerate(parts):
        if isinstance(part, _Other) and _is_silent(part, index, parts[index + 1 :]):
            return index
    return None


def _is_silent(part: _Other, index: int, later: list[_Summary]) -> bool:
    match part.words:
        case ("echo", *_):
            return index == 0
        case ("cd", *_):
            return any(isinstance(other, _Other) and other.role == "test" for other in later)
        case ("nl", *flags):
            return all(flag.startswith("-") for flag in flags)
        case _:
            return part.role == "noop"


# One command


def _of_command(words: list[str]) -> _Summary:
    cmd = shell_join(words)
    reader = _READERS.get(words[0])
    summary = reader(cmd, words[1:]) if reader else None
    return summary or _Other(cmd, tuple(words), _role(words))


def _role(words: list[str]) -> Literal["unknown", "test", "noop"]:
    if words == ["true"]:
        return "noop"
    if tuple(words[:1]) in _TEST_PROGRAMS or tuple(words[:2]) in _TEST_PROGRAMS:
        return "test"
    return "test" if words[0] in _PACKAGE_MANAGERS and _package_script(words) in _TEST_SCRIPTS else "unknown"


def _package_script(words: list[str]) -> str | None:
    rest = words[2:] if words[:2] == ["pnpm", "-r"] else words[1:]
    match rest:
        case ["run", script, *_]:
            return script.lower()
        case ["test", *_]:
            return "test"
        case ["t", *_]:
            return "test" if words[0] == "npm" else None
        case _:
            return None


def _ls(cmd: str, arguments: list[str]) -> _Summary:
    return _ListFiles(cmd, _nth(_operands(arguments, _LS_VALUES), 0))


def _rg(cmd: str, arguments: list[str]) -> _Summary:
    operands = _operands(arguments)
    if "--files" in arguments:
        return _Search(cmd, None, _nth(operands, 0))
    return _Search(cmd, _nth(operands, 0), _nth(operands, 1))


def _grep(cmd: str, arguments: list[str]) -> _Summary:
    operands = _operands(arguments)
    return _Search(cmd, _nth(operands, 0), _nth(operands, 1))


def _fd(cmd: str, arguments: list[str]) -> _Summary:
    match _operands(arguments, _FD_VALUES):
        case [word] if word in {".", ".."} or "/" in word or "\\" in word:
            return _Search(cmd, None, word)
        case operands:
            return _Search(cmd, _nth(operands, 0), _nth(operands, 1))


def _find(cmd: str, arguments: list[str]) -> _Summary:
    asked = next((place for place, word in enumerate(arguments) if word in _QUERY_FLAGS), len(arguments))
    places = [word for word in arguments[:asked] if not word.startswith("-") and word not in {"!", "(", ")"}]
    return _Search(cmd, _nth(arguments, asked + 1), _nth(places, 0))


def _cat(cmd: str, arguments: list[str]) -> _Summary | None:
    match arguments:
        case [path] | ["--", path]:
            return _Read(cmd, path)
        case _:
            return None


def _excerpt(program: Literal["head", "tail"]) -> "_Reader":
    count = _COUNT[program]

    def read(cmd: str, arguments: list[str]) -> _Summary | None:
        match arguments:
            case ["-n", number, path] if count.fullmatch(number):
                return _Read(cmd, path)
            case [flag, path] if flag.startswith("-n") and count.fullmatch(flag[2:]):
                return _Read(cmd, path)
            case _:
                return None

    return read


def _nl(cmd: str, arguments: list[str]) -> _Summary | None:
    path = _nth(_operands(arguments, _NL_VALUES), 0)
    return None if path is None else _Read(cmd, path)


def _sed(cmd: str, arguments: list[str]) -> _Summary | None:
    match arguments:
        case ["-n", lines, path] if _SED_RANGE.fullmatch(lines):
            return _Read(cmd, path)
        case _:
            return None


_Reader: TypeAlias = Callable[[str, list[str]], _Summary | None]

_READERS: Final[dict[str, _Reader]] = {
    "cat": _cat,
    "fd": _fd,
    "find": _find,
    "grep": _grep,
    "head": _excerpt("head"),
    "ls": _ls,
    "nl": _nl,
    "rg": _rg,
    "sed": _sed,
    "tail": _excerpt("tail"),
}


def _operands(arguments: list[str], value_flags: frozenset[str] = frozenset()) -> list[str]:
    """Return the words that are neither flags nor the values of flags."""
    operands: list[str] = []
    is_value = False
    for word in arguments:
        if not is_value and not word.startswith("-"):
            operands.append(word)
        is_value = not is_value and word in value_flags
    return operands


def _nth(words: list[str], place: int) -> str | None:
    return words[place] if place < len(words) else None


def _short(path: str) -> str:
    """Return the last meaningful component of a path."""
    trimmed = path.replace("\\", "/").rstrip("/")
    telling = [part for part in trimmed.split("/") if part and part not in _TELLS_NOTHING]
    return telling[-1] if telling else trimmed or path
