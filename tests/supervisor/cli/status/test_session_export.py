"""A conversation leaves the house as Markdown or JSON, whole, and with nothing in it that steers a terminal."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.sessions import shelf
from greenroom.sessions.index import SessionEntry, Story
from greenroom.sessions.records.passage import Passage, Speaker
from greenroom.supervisor.cli.status.session_export import as_markdown, story_as_json
from tests.sessions.test_index import FIRST, answered, called, ended, line, meta, said, save
from tests.supervisor.cli.status.stand_ins import House

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e\u2066\x9b31m"


@pytest.fixture
def home(house: House) -> House:
    """A home with one conversation of two turns, the first of which was compacted away."""
    save(
        house.home,
        meta(),
        *ended(f"Mend {ESCAPE}the roof"),
        line("compacted", message="short", replacement_history=[]),
        *ended("Again")[:-2],
        called("shell", {"command": ["bash", "-lc", "cat x"]}),
        answered("```\n# no heading\n"),
        said("assistant", "Done."),
        line("event_msg", type="task_complete", turn_id="2", completed_at=5.0, last_agent_message="Done."),
    )
    return house


def test_markdown_has_all_of_it(home: House) -> None:
    shown = home.run("sessions", "show", FIRST, "--markdown")
    exported = home.run("sessions", "export", FIRST)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert exported.stdout == shown.stdout
    heads = re.findall(r"^#+ .*", shown.stdout, re.MULTILINE)
    assert heads[0].startswith("# Again")
    assert heads[1:] == [
        *("## Turn 1", "### User", "### Agent", "## Turn 2", "### User", "### Call", "### Output", "# no heading"),
        "### Agent",
    ]
    assert "````\n```\n# no heading\n````" in shown.stdout


@pytest.mark.parametrize("format_", ["markdown", "json"])
def test_nothing_in_it_steers_a_terminal(home: House, format_: str) -> None:
    told = home.run("sessions", "export", FIRST, "--format", format_).stdout
    assert "the roof" in told
    assert [character for character in told if not character.isprintable() and character != "\n"] == []


def test_json_has_all_of_it(home: House) -> None:
    told = json.loads(home.run("sessions", "export", FIRST, "--format", "json").stdout)
    assert told["version"] == 1
    assert told["conversation"]["id"] == FIRST
    assert told["conversation"]["state"] == "completed"
    assert [turn["outcome"] for turn in told["turns"]] == ["completed", "completed"]
    assert told["turns"][1]["ended_at"] == 5.0
    assert told["passages"][0] == {"turn": 1, "speaker": "user", "text": f"Mend {ESCAPE}the roof"}
    assert [(one["turn"], one["speaker"]) for one in told["passages"]] == [
        *((1, "user"), (1, "agent"), (2, "user"), (2, "call"), (2, "output"), (2, "agent")),
    ]


def test_a_new_file_is_written_and_one_that_is_there_is_kept(home: House, tmp_path: Path) -> None:
    target = tmp_path / "story.md"
    told = home.run("sessions", "export", FIRST, "-o", str(target))
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert target.read_text("utf-8") == home.run("sessions", "export", FIRST).stdout
    assert target.stat().st_mode & 0o777 == 0o600
    target.write_text("mine")
    told = home.run("sessions", "export", FIRST, "-o", str(target))
    assert told.returncode == 3
    assert "File exists" in told.stderr
    assert target.read_text() == "mine"


@pytest.mark.parametrize("where", ["archived", "compressed"])
def test_it_does_not_matter_where_the_file_is(home: House, where: str) -> None:
    before = home.run("sessions", "export", FIRST).stdout
    (shelf.archive if where == "archived" else shelf.compress)(str(home.home), FIRST)
    assert home.run("sessions", "export", FIRST).stdout == before
    assert home.run("sessions", "show", FIRST).returncode == 0


def test_what_cannot_be_exported_is_said(home: House) -> None:
    told = home.run("sessions", "export", "ffff")
    assert (told.returncode, told.stdout) == (1, "")
    save(home.home).write_text("rubbish\n")
    told = home.run("sessions", "export", FIRST)
    assert (told.returncode, told.stdout) == (3, "")
    assert "cannot be read" in told.stderr


SPEAKERS: tuple[Speaker, ...] = ("user", "agent", "reasoning", "call", "output")
HOSTILE = st.text(st.sampled_from("a`\n\r\v\f\x1c\x1b\x85\u2028\u2029\u202e\x00# "), max_size=24)
PASSAGES = st.lists(st.tuples(st.sampled_from(SPEAKERS), HOSTILE), max_size=4)


def story(told: list[tuple[Speaker, str]], text: str = "") -> Story:
    entry = SessionEntry(FIRST, "/x", "2026-11-22T10-00-00", 0.0, 1, cwd=text, model=text, title=text)
    return Story(entry, [(1, Passage(*one)) for one in told], 1, [])


@given(told=PASSAGES, text=HOSTILE)
def test_no_text_can_steer_a_terminal_or_leave_its_fence(told: list[tuple[Speaker, str]], text: str) -> None:
    markdown = as_markdown(story(told, text))
    assert [character for character in markdown if not character.isprintable() and character != "\n"] == []
    fenced = [one for speaker, one in told if speaker in ("call", "output")]
    assert len(_blocks(as_markdown(story([("call", one) for one in fenced])))) == len(fenced)


def _blocks(markdown: str) -> list[str]:
    """Return the fenced blocks of a text as a reader of Markdown sees them (CommonMark, 4.5)."""
    blocks: list[str] = []
    fence = ""
    for row in markdown.split("\n"):
        mark = re.match(r" {0,3}(`{3,})\s*$", row)
        if not fence and mark:
            fence = mark[1]
            blocks.append("")
        elif fence and mark and len(mark[1]) >= len(fence):
            fence = ""
    assert not fence
    return blocks


@given(told=PASSAGES, text=HOSTILE)
def test_every_text_is_in_the_json_as_it_is(told: list[tuple[Speaker, str]], text: str) -> None:
    written = story_as_json(story(told, text))
    assert written.isascii()
    document: dict[str, Any] = json.loads(written)
    assert [(one["speaker"], one["text"]) for one in document["passages"]] == told
    assert document["conversation"]["title"] == text
