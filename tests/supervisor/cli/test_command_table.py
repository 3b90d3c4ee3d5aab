"""The table of commands has all that the parser has, and nothing that breaks a script or a page made from it."""

import argparse

import pytest

from greenroom.supervisor.cli.command_line import command_table
from greenroom.supervisor.cli.reference import command_table as tables
from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption
from greenroom.supervisor.cli.reference.exit_codes import EXIT_CODES

TABLE = command_table()
ALL = list(TABLE.walk())


def find(*words: str) -> Command:
    return next(command for command in ALL if command.words == words)


def option(command: Command, flag: str) -> CommandOption:
    return next(option for option in command.options if flag in option.flags)


def test_every_command_is_there_with_those_below_it() -> None:
    names = {" ".join(command.words) for command in ALL}
    assert {"", "mcp-server", "serve", "exec", "status", "sessions", "sessions list", "sessions delete"} <= names
    assert {"mcp login", "app-server generate-json-schema", "completion", "demo", "schema"} <= names
    assert len(names) == len(ALL)


def test_every_command_and_every_option_says_what_it_is_for() -> None:
    assert [command.words for command in ALL if command.words and not command.help] == []
    silent = [(command.words, option.flags) for command in ALL for option in command.shown_options if not option.help]
    assert silent == []


def test_no_text_holds_what_argparse_would_replace() -> None:
    texts = [text for one in ALL for text in (one.help, one.description, *(option.help for option in one.options))]
    assert [text for text in texts if "%" in text] == []


@pytest.mark.parametrize(
    ("words", "flag", "value", "argument"),
    [
        ("mcp-server", "--engine", "required", CommandArgument("ENGINE", ("fork", "spawn"))),
        ("mcp-server", "--attach", "optional", CommandArgument("ATTACH", ("auto", "off", "require"))),
        ("mcp-server", "-c", "required", CommandArgument("KEY=VALUE", (), repeats=True)),
        ("status", "--json", "none", CommandArgument("JSON")),
        ("status", "--watch", "optional", CommandArgument("SECONDS")),
        ("exec", "--attach", "optional", CommandArgument("MODE", ("auto", "off", "require"))),
        ("exec", "--cd", "required", CommandArgument("DIR")),
        ("exec", "--output-last-message", "required", CommandArgument("FILE")),
        ("sessions list", "-n", "required", CommandArgument("COUNT")),
    ],
)
def test_an_option_has_its_value(words: str, flag: str, value: str, argument: CommandArgument) -> None:
    found = option(find(*words.split()), flag)
    assert (found.value, found.argument) == (value, argument)


def test_what_is_understood_and_not_told_of_is_hidden() -> None:
    assert option(TABLE, "-c").hidden
    assert option(find("exec"), "--ignore-user-config").hidden
    assert not option(find("mcp-server"), "-c").hidden


def test_kinds_of_values_follow_from_placeholders() -> None:
    assert {
        kind: CommandArgument(name).kind for kind, name in (("file", "FILE"), ("directory", "DIR"), ("word", "ID"))
    } == {
        "file": "file",
        "directory": "directory",
        "word": "word",
    }


def test_a_parser_without_commands_is_one_command() -> None:
    parser = argparse.ArgumentParser(description="Does it.")
    parser.add_argument("what", nargs="*", help="things")
    table = tables.table_of_parser(parser)
    assert table.commands == ()
    assert table.arguments == ((CommandArgument("WHAT", (), repeats=True), "things"),)


def test_every_command_has_exit_codes_and_no_other_has() -> None:
    listed = [command for codes in EXIT_CODES for command in codes.commands]
    assert len(set(listed)) == len(listed)
    assert {*listed} == {command.words[0] for command in ALL if len(command.words) == 1}
