"""Completion for bash, from the table of commands."""

from collections.abc import Iterator
from shlex import quote
from typing import Final

from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument

_HEAD: Final = """# Completion of {program} for bash 3.2 and newer; made by `{program} completion bash`.

_{name}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} path= index=1
    COMPREPLY=()
    if [ "$word" = = ]; then
        word=
    elif [ "$previous" = = ] && [ "$COMP_CWORD" -ge 2 ]; then
        previous=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    while [ "$index" -lt "$COMP_CWORD" ]; do
        case "$path|${{COMP_WORDS[index]}}" in
            *"|=") index=$((index + 1)) ;;
"""
_VALUES: Final = """        esac
        index=$((index + 1))
    done
    case "$path|$previous" in
"""
_WORDS: Final = """    esac
    case "$path" in
"""
_TAIL: Final = """    esac
}}
complete -F _{name} {program}
"""
_WAYS: Final = {"file": "compgen -f", "directory": "compgen -d"}


def script(program: str, table: Command) -> str:
    """Return a script that is sourced."""
    names = {"program": program, "name": program.replace("-", "_")}
    commands = list(table.walk())
    return "".join(
        (
            _HEAD.format(**names),
            *(f"            {line}\n" for command in commands for line in _steps(command)),
            _VALUES,
            *(f"        {line}\n" for command in commands for line in _values(command)),
            _WORDS,
            *(f"        {_pattern(command)}) {_offer(command)} ;;\n" for command in commands),
            _TAIL.format(**names),
        )
    )


def _path(command: Command) -> str:
    return " ".join(command.words)


def _pattern(command: Command, *words: str) -> str:
    if not words:
        return quote(_path(command))
    return " | ".join(quote(f"{_path(command)}|{word}") for word in words)


def _steps(command: Command) -> Iterator[str]:
    """Yield what a word that was typed leads to: a command below, or the value of an option, which is skipped."""
    for below in command.commands:
        yield f"{_pattern(command, below.words[-1])}) path={quote(_path(below))} ;;"
    taking = [flag for option in command.options if option.value == "required" for flag in option.flags]
    if taking:
        yield f"{_pattern(command, *taking)}) index=$((index + 1)) ;;"


def _values(command: Command) -> Iterator[str]:
    for option in command.options:
        if option.value == "required" or (option.value == "optional" and option.argument.choices):
            yield f'{_pattern(command, *option.flags)}) COMPREPLY=($({_way(option.argument)} -- "$word")); return ;;'


def _way(argument: CommandArgument) -> str:
    if argument.choices:
        return f"compgen -W {quote(' '.join(argument.choices))}"
    return _WAYS.get(argument.kind, "compgen -W ''")


def _offer(command: Command) -> str:
    words = [below.words[-1] for below in command.commands]
    words += [choice for argument, _ in command.arguments for choice in argument.choices]
    words += [flag for option in command.shown_options for flag in option.flags if flag.startswith("--")]
    offer = f'COMPREPLY=($(compgen -W {quote(" ".join(words))} -- "$word"))'
    files = {argument.kind for argument, _ in command.arguments if not argument.choices} - {"word"}
    return offer if not files else f'{offer}; COMPREPLY+=($({_WAYS[min(files)]} -- "$word"))'
