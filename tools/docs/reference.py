"""Writes the pages of docs/reference from the code: settings, commands and exit codes.

`make docs` writes them. `python tools/docs/reference.py --check` only tells whether they are up to date, by its exit
status.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import msgspec
from generated import GeneratedPage

from greenroom.config.tables import greenroom, http
from greenroom.config.tables.greenroom import GreenroomTable
from greenroom.config.tables.http import HttpTable
from greenroom.supervisor.cli.command_line import command_table
from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption
from greenroom.supervisor.cli.reference.exit_codes import EXIT_CODES

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
MADE: Final = "<!-- Made by tools/docs/reference.py; `make docs` brings it up to date. -->\n\n"


def settings() -> str:
    """Return the page about our own settings."""
    text = (
        f"# Settings of `[greenroom]`\n\n{MADE}The table `[greenroom]` of `config.toml`, as the program knows it. "
        "[Operations](../operations.md) explains each at length, and the settings that Codex has too; "
        "[HTTP](../http.md#settings) those of `[greenroom.http]`.\n\n"
    )
    text += _table(("Key", "Values", "Default", "Meaning"), _rows(GreenroomTable, _documented(greenroom.__file__)))
    rows = _table(("Key", "Values", "Default", "Meaning"), _rows(HttpTable, _documented(http.__file__)))
    return f"{text}\n## `[greenroom.http]`\n\n{rows}"


def commands() -> str:
    """Return the page about the command line."""
    parts = [f"# Commands\n\n{MADE}What `--help` and the manual pages say, on one page.\n"]
    for command in command_table().walk():
        name = " ".join(("greenroom", *command.words))
        parts.append(f"\n{'#' * min(4, len(command.words) + 2)} `{name}`\n\n{_escaped(command.description)}\n")
        if rows := list(_words(command)):
            parts.append("\n" + _table(("Argument", "Meaning"), rows))
    return "".join(parts)


def exit_codes() -> str:
    """Return the page about exit codes."""
    parts = [
        f"# Exit codes\n\n{MADE}An attached `mcp-server` has [codes of its own](../operations.md#joining-a-host).\n"
    ]
    for codes in EXIT_CODES:
        names = ", ".join(f"`{name}`" for name in codes.commands)
        rows = [(f"{code}", meaning) for code, meaning in codes.meanings.items()]
        parts.append(f"\n## {names}\n\n" + _table(("Code", "When"), rows))
    return "".join(parts)


PAGES: Final = {"settings.md": settings, "commands.md": commands, "exit-codes.md": exit_codes}


def _documented(file: str | None) -> dict[tuple[str, str], str]:
    """Return the docstrings of the attributes in a module, by class and name."""
    tree = ast.parse(Path(str(file)).read_text("utf-8"))
    found: dict[tuple[str, str], str] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for before, after in zip(node.body, node.body[1:], strict=False):
            match before, after:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[node.name, name] = " ".join(text.split())
    return found


def _rows(kind: type[msgspec.Struct], texts: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, ...]]:
    fields = msgspec.structs.fields(kind)
    for field in sorted(fields, key=lambda field: field.name):
        meaning = texts[kind.__name__, field.name]
        yield f"`{field.name}`", _values(field.type), _default(field), _escaped(meaning)


def _values(kind: object) -> str:
    """Return what a type accepts, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return f"{_values(arguments[0])}{''.join(_bounds(one) for one in arguments[1:])}"
    if origin is Literal:
        return ", ".join(f"`{_toml(one)}`" for one in arguments)
    if origin is Union or type(kind).__name__ == "UnionType":
        return " or ".join(_values(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"a list of {_values(arguments[0])}"
    if origin is dict:
        return "a table"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "a table"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(kind, "any")  # type: ignore[call-overload,no-any-return]


_BOUNDS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "pattern": "like"}


def _bounds(constraint: object) -> str:
    if not isinstance(constraint, msgspec.Meta):
        return ""
    given = {name: getattr(constraint, name) for name in _BOUNDS}
    return "".join(f", {_BOUNDS[name]} `{_toml(value)}`" for name, value in given.items() if value is not None)


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    return "none" if value is msgspec.NODEFAULT or value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _words(command: Command) -> Iterator[tuple[str, str]]:
    for below in command.commands:
        yield f"`{below.words[-1]}`", _escaped(below.help)
    for argument, text in command.arguments:
        yield f"`{argument.name}`", _meaning(text, argument)
    for option in command.shown_options:
        yield ", ".join(f"`{_flag(option, flag)}`" for flag in option.flags), _meaning(option.help, option.argument)


def _flag(option: CommandOption, flag: str) -> str:
    name = option.argument.name
    return {"none": flag, "optional": f"{flag}[={name}]", "required": f"{flag} {name}"}[option.value]


def _meaning(text: str, argument: CommandArgument) -> str:
    choices = f" ({', '.join(f'`{choice}`' for choice in argument.choices)})" if argument.choices else ""
    return _escaped(text) + choices


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.exit(max(GeneratedPage(FOLDER / name).replace(make(), sys.argv[1:]) for name, make in PAGES.items()))
