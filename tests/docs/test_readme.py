"""The commands of the README are commands of the program."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from greenroom.supervisor.cli import command_line
from greenroom.supervisor.cli.exec import arguments

README: Final = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
WAYS: Final = README.partition("## Ways to connect")[2].partition("\n## ")[0]
COMMANDS: Final = re.findall(r"`greenroom ([^`]+)`", WAYS)


def test_the_table_of_ways_in_has_five_lines() -> None:
    assert len(re.findall(r"^\| [^F-]", WAYS, re.MULTILINE)) == 5
    assert len(COMMANDS) == 6


@pytest.mark.parametrize("command", COMMANDS)
def test_each_way_in_is_a_command(command: str) -> None:
    name, *words = shlex.split(command)
    if name == "exec":
        assert arguments.parse_exec_words(words).prompt == words[0]
    else:
        assert command_line.command_parser().parse_args([name, *words]).command == name
