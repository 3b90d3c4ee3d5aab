"""The commands of a program as a table, from its parser: names, options, and what their values are. Free of I/O."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

ValueNeed: TypeAlias = Literal["none", "optional", "required"]
"""Whether an option takes a value; an optional one is given with `=`."""
ValueKind: TypeAlias = Literal["word", "file", "directory"]

_KINDS: Final[Mapping[str, ValueKind]] = {"FILE": "file", "DIR": "directory"}
"""What a placeholder stands for."""


@dataclass(frozen=True, slots=True)
class CommandArgument:
    """The value of an option, or a word of its own."""

    name: str
    """The placeholder in texts."""
    choices: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def kind(self) -> ValueKind:
        """What a shell completes it with, where there are no choices."""
        return _KINDS.get(self.name, "word")


@dataclass(frozen=True, slots=True)
class CommandOption:
    """An option in all its spellings."""

    flags: tuple[str, ...]
    help: str
    value: ValueNeed = "none"
    argument: CommandArgument = CommandArgument("")
    hidden: bool = False
    """Whether it is understood and not told of."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command with those below it."""

    words: tuple[str, ...]
    """What is typed after the name of the program."""
    help: str
    """One line, without a full stop."""
    description: str
    options: tuple[CommandOption, ...]
    arguments: tuple[tuple[CommandArgument, str], ...]
    """With the help of each."""
    commands: tuple["Command", ...]

    @property
    def shown_options(self) -> tuple[CommandOption, ...]:
        """Those that are told of."""
        return tuple(option for option in self.options if not option.hidden)

    def walk(self) -> Iterator["Command"]:
        """Yield it and all that are below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def table_of_parser(
    parser: argparse.ArgumentParser, others: Mapping[str, argparse.ArgumentParser] | None = None
) -> Command:
    """Return the table of a parser. `others` are those of commands that read their words themselves."""
    return _command(parser, (), "", others or {})


def _command(
    parser: argparse.ArgumentParser, words: tuple[str, ...], text: str, others: Mapping[str, argparse.ArgumentParser]
) -> Command:
    actions = parser._actions  # noqa: SLF001 - argparse has no other way to what it was given
    below = [action for action in actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    plain = [action for action in actions if not isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    return Command(
        words=words,
        help=text,
        description=parser.description or _sentence(text),
        options=tuple(_option(action) for action in plain if action.option_strings),
        arguments=tuple(
            (_argument(action), action.help or "")
            for action in plain
            if not action.option_strings and action.help != argparse.SUPPRESS
        ),
        commands=tuple(
            _command(others.get(" ".join((*words, name)), inner), (*words, name), _help_of(action, name), others)
            for action in below
            for name, inner in action.choices.items()
        ),
    )


def _help_of(action: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str) -> str:
    choices = action._choices_actions  # noqa: SLF001
    return next((choice.help or "" for choice in choices if choice.dest == name), "")


def _option(action: argparse.Action) -> CommandOption:
    hidden = action.help == argparse.SUPPRESS
    return CommandOption(
        flags=tuple(action.option_strings),
        help="" if hidden or action.help is None else action.help,
        value=_value(action),
        argument=_argument(action),
        hidden=hidden,
    )


def _value(action: argparse.Action) -> ValueNeed:
    if action.nargs == 0:
        return "none"
    return "optional" if action.nargs == "?" else "required"


def _argument(action: argparse.Action) -> CommandArgument:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper().replace("_", "-")
    choices = tuple(str(choice) for choice in action.choices or ())
    repeats = action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction)  # noqa: SLF001
    return CommandArgument(name, choices, repeats)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
