"""Parses the arguments of a program as the program does: options, their values, and operands. Free of I/O.

A grammar lists what is known. Arguments that do not match it, or that different versions of a program read differently,
are rejected: the caller then knows nothing about the command and must not trust it.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.workers.exec.script import Word

Arity: TypeAlias = Literal["none", "one", "attached"]
"""Whether an option takes a value: never, always (attached or as the next word), or only if attached."""

_GLOB: Final = frozenset("*?")


class Option(msgspec.Struct, frozen=True):
    """An option in a command line."""

    name: str
    """As in the grammar, with its dashes."""
    value: str | None = None


class Arguments(msgspec.Struct, frozen=True):
    """The arguments of a program."""

    options: tuple[Option, ...]
    operands: tuple[Word, ...]
    """May become more if one of them is a glob."""

    @property
    def may_be_more(self) -> bool:
        """Whether a shell may replace the operands by any number of words."""
        return any(is_glob(word) for word in self.operands)


class OptionGrammar(msgspec.Struct, frozen=True):
    """The options of a program, as getopt_long(3) reads them."""

    options: Mapping[str, Arity] = msgspec.field(default_factory=dict)
    """By name with its dashes. Abbreviations are rejected, because their meaning depends on the program's version."""
    numbers: bool = False
    """Whether `-5` is an option."""
    clusters: bool = True
    """Whether short options can be combined (`-ab`)."""
    interleaved: bool = True
    """Whether options may follow operands. With POSIXLY_CORRECT they would be operands; then this must be false."""

    def read(self, words: Sequence[Word]) -> Arguments | None:
        """Return the parsed arguments; `None` if the grammar does not cover them."""
        options: list[Option] = []
        operands: list[Word] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word.text == "--" and not word.pattern:
                return Arguments(tuple(options), (*operands, *rest))
            if not _may_be_option(word):
                operands.append(word)
                continue
            option = None if word.pattern or (operands and not self.interleaved) else self._option(word.text, rest)
            if option is None:
                return None
            options.extend(option)
        return Arguments(tuple(options), tuple(operands))

    def _option(self, text: str, rest: list[Word]) -> list[Option] | None:
        if self.numbers and text[1:].isdecimal() and text.isascii():
            return [Option("-<number>", text[1:])]
        if text.startswith("--"):
            return self._long(text, rest)
        return self._short(text, rest)

    def _long(self, text: str, rest: list[Word]) -> list[Option] | None:
        name, has_value, value = text.partition("=")
        match self.options.get(name):
            case "none" if not has_value:
                return [Option(name)]
            case "attached":
                return [Option(name, value if has_value else None)]
            case "one":
                return [Option(name, value)] if has_value else _with_next(name, rest)
            case _:
                return None

    def _short(self, text: str, rest: list[Word]) -> list[Option] | None:
        options: list[Option] = []
        letters = text[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            match self.options.get(name):
                case "none":
                    options.append(Option(name))
                    if letters and not self.clusters:
                        return None
                case "attached":
                    return [*options, Option(name, letters or None)]
                case "one":
                    last = [Option(name, letters)] if letters else _with_next(name, rest)
                    return None if last is None else [*options, *last]
                case _:
                    return None
        return options


def is_glob(word: Word) -> bool:
    """Tell whether a shell may replace this word by any number of words."""
    return word.pattern and not _GLOB.isdisjoint(word.text)


def _may_be_option(word: Word) -> bool:
    """Tell whether a program may take a word for an option: `-` alone is an operand, and a glob may become anything."""
    if is_glob(word) and word.text[0] in _GLOB:
        return True
    return word.text.startswith("-") and (word.text != "-" or is_glob(word))


def _with_next(name: str, rest: list[Word]) -> list[Option] | None:
    """Take the next word as the value. A word that looks like an option is rejected, because programs treat it
    differently (`--` above all), and a glob may become several words."""
    if not rest or rest[0].pattern or rest[0].text.startswith("-"):
        return None
    return [Option(name, rest.pop(0).text)]
