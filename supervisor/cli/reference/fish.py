"""Completion for fish, from the table of commands."""

from collections.abc import Iterator
from typing import Final

from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption

_HEAD: Final = """# Completion of {program} for fish; made by `{program} completion fish`.

function __{name}_path
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$path|$word"
"""
_MIDDLE: Final = """        end
    end
    echo -- "$path"
end

complete -c {program} -f
"""


def script(program: str, table: Command) -> str:
    """Return a script for a directory of completions, or to be sourced."""
    names = {"program": program, "name": program.replace("-", "_")}
    commands = list(table.walk())
    return "".join(
        (
            _HEAD.format(**names),
            *(f"            {line}\n" for command in commands for line in _steps(command)),
            _MIDDLE.format(**names),
            *(f"complete -c {program} {line}\n" for command in commands for line in _lines(names["name"], command)),
        )
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _path(command: Command) -> str:
    return " ".join(command.words)


def _steps(command: Command) -> Iterator[str]:
    for below in command.commands:
        yield f"case {_quoted(f'{_path(command)}|{below.words[-1]}')}"
        yield f"    set path {_quoted(_path(below))}"
    taking = [flag for option in command.options if option.value == "required" for flag in option.flags]
    if taking:
        yield f"case {' '.join(_quoted(f'{_path(command)}|{flag}') for flag in taking)}"
        yield "    set skip 1"


def _lines(name: str, command: Command) -> Iterator[str]:
    here = f'-n {_quoted(f"""test (__{name}_path) = "{_path(command)}" """.strip())}'
    for below in command.commands:
        yield f"{here} -a {_quoted(below.words[-1])} -d {_quoted(below.help)}"
    for argument, text in command.arguments:
        if argument.choices:
            yield f"{here} -a {_quoted(' '.join(argument.choices))} -d {_quoted(text)}"
    for option in command.shown_options:
        yield f"{here} {_option(option)}"


def _option(option: CommandOption) -> str:
    flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
    value = "" if option.value == "none" else f" {_value(option.argument, is_optional=option.value == 'optional')}"
    return f"{flags}{value} -d {_quoted(option.help)}"


def _value(argument: CommandArgument, *, is_optional: bool) -> str:
    if argument.choices:
        return f"{'' if is_optional else '-x '}-a {_quoted(' '.join(argument.choices))}"
    if is_optional:
        return ""
    return {"file": "-r -F", "directory": "-x -a '(__fish_complete_directories)'", "word": "-x"}[argument.kind]
