"""Completion for zsh, from the table of commands."""

from collections.abc import Iterator
from shlex import quote
from typing import Final

from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption

_HEAD: Final = """#compdef {program}
# Completion of {program} for zsh; made by `{program} completion zsh`.

"""
_TAIL: Final = """if [ "${{funcstack[1]}}" = _{name} ]; then
    _{name} "$@"
else
    compdef _{name} {program}
fi
"""
_WAYS: Final = {"file": "_files", "directory": "_files -/", "word": " "}


def script(program: str, table: Command) -> str:
    """Return a script for a directory of `fpath`, as `_PROGRAM`, or to be sourced."""
    names = {"program": program, "name": program.replace("-", "_")}
    functions = ("\n".join(_function(names["name"], command)) + "\n\n" for command in table.walk())
    return "".join((_HEAD.format(**names), *functions, _TAIL.format(**names)))


def _name(program: str, command: Command) -> str:
    return "_".join(("_" + program, *(word.replace("-", "_") for word in command.words)))


def _function(program: str, command: Command) -> Iterator[str]:
    options = [quote(_option(option, flag)) for option in command.shown_options for flag in option.flags]
    yield f"{_name(program, command)}() {{"
    if command.commands:
        yield "    local context state state_descr line curcontext=$curcontext"
        yield "    typeset -A opt_args"
        yield _call([*options, "'1: :->command'", "'*:: :->rest'"], "-C")
        yield '    case "$state" in'
        yield "        command)"
        below = (f"{inner.words[-1]}:{_plain(inner.help)}" for inner in command.commands)
        yield f"            local -a commands=({' '.join(quote(word) for word in below)})"
        yield "            _describe command commands ;;"
        yield "        rest)"
        yield '            case "${line[1]}" in'
        for inner in command.commands:
            yield f"                {quote(inner.words[-1])}) {_name(program, inner)} ;;"
        yield "            esac ;;"
        yield "    esac"
    else:
        words = [quote(_positional(argument)) for argument, _ in command.arguments]
        yield _call([*options, *words])
    yield "}"


def _call(specifications: list[str], *flags: str) -> str:
    words = " ".join(("_arguments", *flags, "-S"))
    return " \\\n        ".join((f"    {words}", *specifications))


def _option(option: CommandOption, flag: str) -> str:
    """Return a specification for `_arguments`."""
    group = f"({' '.join(option.flags)})" if not option.argument.repeats else "*"
    is_long = flag.startswith("--")
    mark = {"none": "", "required": "=" if is_long else "+", "optional": "=-" if is_long else "-"}[option.value]
    value = "" if option.value == "none" else f"{'::' if option.value == 'optional' else ':'}{_value(option.argument)}"
    return f"{group}{flag}{mark}[{_plain(option.help)}]{value}"


def _value(argument: CommandArgument) -> str:
    way = f"({' '.join(argument.choices)})" if argument.choices else _WAYS[argument.kind]
    return f"{_plain(argument.name)}:{way}"


def _positional(argument: CommandArgument) -> str:
    return f"{'*' if argument.repeats else ''}:{_value(argument)}"


def _plain(text: str) -> str:
    """Return a text without the characters that specifications are made of."""
    return text.replace("\\", "").replace("[", "(").replace("]", ")").replace(":", ";")
