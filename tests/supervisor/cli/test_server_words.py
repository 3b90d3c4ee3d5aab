"""The short parser of the commands that serve reads their words as the whole one does."""

import argparse
import contextlib
import io

from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.cli import command_line
from greenroom.supervisor.command_words import APP_SERVER, CONFIG_FLAGS, GENERATE_SCHEMA, SERVER

COMMANDS = st.sampled_from([SERVER, APP_SERVER])
WORDS = st.sampled_from(
    [
        *CONFIG_FLAGS,
        "model=x",
        "--attach",
        "--attach=off",
        "--attach=never",
        "--engine",
        "fork",
        "--eng=spawn",
        "--oss",
        "--log-level",
        "debug",
        "--log-format=json",
        "--listen",
        "unix://",
        "http://x",
        "--out",
        "--json",
        "--help",
        "--bogus",
        "status",
        SERVER,
        GENERATE_SCHEMA,
    ]
)


def read(parser: argparse.ArgumentParser, words: list[str]) -> tuple[object, str, str]:
    """Return what is read, or the exit code, and all that is printed."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            read: object = parser.parse_args(words)
        except SystemExit as left:
            read = left.code
    return read, output.getvalue(), errors.getvalue()


@given(COMMANDS, st.lists(WORDS, max_size=4), st.sampled_from([[], ["-c", "model=y"]]))
def test_the_same_words_mean_the_same(command: str, words: list[str], before: list[str]) -> None:
    line = [*before, command, *words]
    assert read(command_line.command_parser(command), line) == read(command_line.command_parser(), line)
