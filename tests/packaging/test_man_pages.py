"""The manual has a page for the program and one for each command; they are what the commands say, and well formed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from greenroom.supervisor.cli.command_line import command_table
from greenroom.supervisor.cli.reference.command_table import Command, CommandArgument, CommandOption
from greenroom.supervisor.cli.reference.man_page import pages

FOLDER = Path(__file__).parents[2] / "packaging" / "man" / "man1"
TABLE = command_table()


def run(*words: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    program = shutil.which(words[0])
    if program is None:
        pytest.skip(f"{words[0]} is not there")
    return subprocess.run((program, *words[1:]), input=text, capture_output=True, text=True, timeout=60, check=False)


def test_there_is_a_page_for_the_program_and_for_each_command() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {"greenroom.1", *(f"greenroom-{command.words[0]}.1" for command in TABLE.commands)}


@pytest.mark.parametrize("macro", ["TH", "NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"])
def test_every_page_has_its_sections(macro: str) -> None:
    wanted = f".{macro} " if macro == "TH" else f".SH {macro}\n"
    assert [path.name for path in FOLDER.iterdir() if wanted not in path.read_text("utf-8")] == []


def test_groff_has_no_complaint() -> None:
    done = run("groff", "-man", "-Tutf8", "-Kutf8", "-wall", "-z", *map(str, sorted(FOLDER.iterdir())))
    assert (done.returncode, done.stderr) == (0, "")


def test_mandoc_has_no_complaint() -> None:
    done = run("mandoc", "-Tlint", "-Wwarning", *map(str, sorted(FOLDER.iterdir())))
    # The pages have no date, so that what they are made from says all that is in them.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def rendered(page: str) -> str:
    done = run("groff", "-man", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=400n", text=page)
    assert done.returncode == 0
    return done.stdout


def test_every_option_can_be_read_and_copied_from_its_page() -> None:
    for command in TABLE.commands:
        shown = rendered((FOLDER / f"greenroom-{command.words[0]}.1").read_text("utf-8"))
        for each in command.walk():
            for option in each.shown_options:
                assert f" {option.flags[-1]}" in shown, (each.words, option.flags)


HOSTILE = ".so /etc/passwd", "'br", "a\\fBbold", "--copy-this", "`code` and 'quotes'", '"', "\\"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_means_itself(text: str) -> None:
    command = Command((), text, text, (CommandOption(("--flag",), text),), ((CommandArgument("WORD"), text),), ())
    shown = rendered(pages("prog", "1", command)["prog.1"])
    assert shown.count(text) >= 2
