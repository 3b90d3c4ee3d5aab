"""Manual pages in man(7) form, from the table of commands: one of the program, and one of each command."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption
from greenroom.supervisor.cli.reference.exit_codes import codes_of

ENVIRONMENT: Final[Mapping[str, str]] = {
    "CODEX_HOME": "The directory with config.toml, auth.json and sessions/; ~/.codex unless it is set.",
    "CODEX_API_KEY, OPENAI_API_KEY": "The API key that is used where there is no login.",
    "GREENROOM_LOG": "The log level where --log-level is not given.",
    "XDG_RUNTIME_DIR": "Where the directory for sockets is made.",
}
FILES: Final[Mapping[str, str]] = {
    "$CODEX_HOME/config.toml": "The settings.",
    "$CODEX_HOME/sessions/": "The conversations.",
    "$CODEX_HOME/log/greenroom/greenroom.jsonl": "The log.",
}


def pages(program: str, version: str, table: Command) -> dict[str, str]:
    """Return all pages of section 1 by their file names."""
    documented = (table, *table.commands)
    return {
        f"{_name(program, command)}.1": "".join(f"{line}\n" for line in _page(program, version, documented, command))
        for command in documented
    }


def _page(program: str, version: str, documented: Sequence[Command], command: Command) -> Iterator[str]:
    name = _name(program, command)
    yield f'.TH {name.upper()} 1 "" "{program} {version}" "User Commands"'
    yield ".SH NAME"
    yield f"{_text(name)} \\- {_text(command.help or command.description.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield from _synopses(program, command)
    yield ".SH DESCRIPTION"
    yield _text(command.description)
    yield from _options(command, ".SH OPTIONS")
    if not command.words:
        yield ".SH COMMANDS"
        yield from _definitions((f"{program}-{' '.join(below.words)}(1)", below.help) for below in command.commands)
    else:
        for below in list(command.walk())[1:]:
            yield f'.SH "{_text(" ".join((program, *below.words)))}"'
            yield _text(below.description)
            yield from _options(below, None)
    if codes := codes_of(" ".join(command.words)):
        yield ".SH EXIT STATUS"
        yield from _definitions((str(code), f"{meaning}.") for code, meaning in codes.items())
    if not command.words:
        yield ".SH ENVIRONMENT"
        yield from _definitions(ENVIRONMENT.items())
        yield ".SH FILES"
        yield from _definitions(FILES.items())
    yield ".SH SEE ALSO"
    others = [_name(program, other) for other in documented if other is not command]
    yield from (f".BR {_text(other)} (1){'' if other == others[-1] else ','}" for other in others)


def _name(program: str, command: Command) -> str:
    return "-".join((program, *command.words))


def _synopses(program: str, command: Command) -> Iterator[str]:
    """Yield a line for each way to call a command."""
    shown = [each for each in command.walk() if not each.commands or each is command] if command.words else [command]
    for place, each in enumerate(shown):
        if place:
            yield ".br"
        words = [f"\\fB{_text(' '.join((program, *each.words)))}\\fR"]
        words += [_bracketed(option) for option in each.shown_options]
        words += [_shown(argument) for argument, _ in each.arguments]
        if each.commands:
            words.append("\\fICOMMAND\\fR …" if not each.words else "[\\fICOMMAND\\fR …]")
        yield " ".join(words)


def _bracketed(option: CommandOption) -> str:
    repeated = " …" if option.argument.repeats else ""
    return f"[{_flag(option, option.flags[-1])}]{repeated}"


def _flag(option: CommandOption, flag: str) -> str:
    value = f"\\fI{_text(option.argument.name)}\\fR"
    text = f"\\fB{_text(flag)}\\fR"
    if option.value == "none":
        return text
    if option.value == "optional":
        return f"{text}[={value}]"
    return f"{text} {value}"


def _shown(argument: CommandArgument) -> str:
    name = f"\\fI{_text(argument.name)}\\fR"
    return f"[{name} …]" if argument.repeats else name


def _options(command: Command, heading: str | None) -> Iterator[str]:
    """Yield what the arguments and options of a command mean."""
    rows = [(f"\\fI{_text(argument.name)}\\fR", _meaning(text, argument)) for argument, text in command.arguments]
    for option in command.shown_options:
        flags = ", ".join(_flag(option, flag) for flag in option.flags)
        rows.append((flags, _meaning(option.help, option.argument)))
    if rows and heading is not None:
        yield heading
    for tag, text in rows:
        yield from (".TP", tag, _text(text))


def _meaning(text: str, argument: CommandArgument) -> str:
    sentence = f"{text[:1].upper()}{text[1:]}." if text else ""
    return f"{sentence} One of: {', '.join(argument.choices)}.".strip() if argument.choices else sentence


def _definitions(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", f"\\fB{_text(name)}\\fR", _text(text))


def _text(text: str) -> str:
    """Return a text that means itself: no line of it begins a request, and hyphens can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
