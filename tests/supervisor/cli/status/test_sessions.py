"""`greenroom sessions` lists what can be gone on with, and prints it without letting it steer the terminal."""

import json
import os
import sys

import pytest
from rich.cells import cell_len as width

from greenroom.sessions.storage.lock import WriterLock
from tests.sessions.test_index import FIRST, SECOND, context, meta, said, save, used
from tests.supervisor.cli.status.stand_ins import House


@pytest.fixture
def home(house: House) -> House:
    """A home with two conversations and one file that is none."""
    save(house.home, meta(), context("gpt-5"), said("user", "Mend \x1b[31mthe 漢字 build"), used(12_345), second=1)
    save(
        house.home,
        meta(SECOND),
        said("user", "Second"),
        said("assistant", "Done.\n\x1b]0;owned\x07\n\n    indented"),
        conversation_id=SECOND,
        second=2,
    )
    save(house.home, conversation_id="01a20312-0577-77d3-9bb9-ad78bbf80000").write_text("garbage\n")
    return house


def test_sessions_are_listed(home: House) -> None:
    told = home.run("sessions", COLUMNS="140")
    assert (told.returncode, told.stderr) == (0, "")
    head, second, first, broken = told.stdout.splitlines()
    assert head.split() == ["ID", "CHANGED", "TOKENS", "MODEL", "DIRECTORY", "TITLE"]
    assert second.startswith(SECOND)
    assert second.endswith("/home/ada/shop  Second")
    assert first.startswith(FIRST)
    assert " 12k  gpt-5 " in first
    assert first.endswith("Mend [31mthe 漢字 build")
    assert "(unreadable: it does not begin with the metadata of a session)" in broken
    assert "  unfinished  " in home.run("sessions", COLUMNS="200").stdout
    listed = home.run("sessions", "list", COLUMNS="140").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [line.split()[0] for line in told.stdout.splitlines()]


def test_the_list_fits_80_columns(home: House) -> None:
    lines = home.run("sessions", COLUMNS="80").stdout.splitlines()
    assert all(width(line) <= 80 for line in lines)
    assert any("Second" in line for line in lines)


def test_only_as_many_as_wanted_are_listed(home: House) -> None:
    assert len(home.run("sessions", "list", "-n", "1").stdout.splitlines()) == 2
    assert len(home.run("sessions", "list", "-n", "0").stdout.splitlines()) == 4


def test_sessions_are_listed_for_programs(home: House) -> None:
    lines = [json.loads(line) for line in home.run("sessions", "list", "--json").stdout.splitlines()]
    assert [line["id"] for line in lines[:2]] == [SECOND, FIRST]
    assert [line["version"] for line in lines] == [1, 1, 1]
    assert lines[1]["tokens"] == 12_345
    assert lines[2]["fault"]
    assert [line["writer"] for line in lines] == [None] * 3
    assert [line["state"] for line in lines] == ["completed", "unfinished", "unreadable"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")
def test_a_session_that_another_program_has_open_is_marked(home: House) -> None:
    held = WriterLock(str(home.home), FIRST)
    try:
        lines = [json.loads(line) for line in home.run("sessions", "list", "--json").stdout.splitlines()]
        table = home.run("sessions", COLUMNS="140").stdout.splitlines()
    finally:
        held.release()
    assert [(line["writer"], line["instance"]) for line in lines] == [(None, None), (os.getpid(), None), (None, None)]
    assert f"  process {os.getpid()}  " in next(line for line in table if line.startswith(FIRST))


@pytest.mark.parametrize("given", [SECOND, "bf89999", SECOND[:-3]])
def test_a_session_is_shown(home: House, given: str) -> None:
    told = home.run("sessions", "show", given)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "you    Second",
        "agent  Done.",
        "       ]0;owned",
        "",
        "           indented",
        "",
    ]


def test_what_cannot_be_shown_is_said(home: House) -> None:
    told = home.run("sessions", "show", "ffff")
    assert (told.returncode, told.stdout) == (1, "")
    told = home.run("sessions", "show", "01a20312")
    assert told.returncode == 1
    assert FIRST in told.stderr
    told = home.run("sessions", "show", "bbf80000")
    assert told.returncode == 3
    assert "cannot be read" in told.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--text", "SECOND"), [SECOND]),
        (("--directory", "/home/ada"), [SECOND, FIRST]),
        (("--directory", "/home/ad"), []),
        (("--state", "completed", "--state", "unreadable", "-n", "1"), [SECOND]),
        (("--since", "1d", "--state", "unfinished"), [FIRST]),
        (("--before", "1d"), []),
        (("--archived",), []),
    ],
)
def test_sessions_are_found_by_what_they_have_in_common(home: House, words: tuple[str, ...], found: list[str]) -> None:
    told = home.run("sessions", "list", "--json", *words)
    assert (told.returncode, told.stderr) == (0, "")
    assert [json.loads(line)["id"] for line in told.stdout.splitlines()] == found


def test_a_home_without_sessions_is_no_fault(house: House) -> None:
    told = house.run("sessions")
    assert (told.returncode, told.stdout) == (0, "")
    assert "no saved conversations" in told.stderr


def test_a_home_that_is_none_is_code_1(house: House) -> None:
    told = house.run("sessions", CODEX_HOME="/nowhere")
    assert told.returncode == 1
    assert "CODEX_HOME" in told.stderr
