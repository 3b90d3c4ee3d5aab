"""Files of conversations are compressed and deleted by command: those that are meant, and none that is in use."""

import os
import time
from pathlib import Path

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.sessions.retention import DAY
from greenroom.sessions.storage.finder import find_listed
from greenroom.sessions.storage.lock import WriterLock
from tests.sessions.test_index import FIRST, SECOND, ended, meta, save
from tests.supervisor.cli.status.stand_ins import House

THIRD = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf80000")


@pytest.fixture
def home(house: House) -> House:
    """A home with conversations of a hundred, fifty and no days."""
    for days, conversation_id in ((100, FIRST), (50, SECOND), (0, THIRD)):
        path = save(house.home, meta(conversation_id), *ended("roof"), conversation_id=conversation_id)
        os.utime(path, (time.time() - days * DAY,) * 2)
    return house


def there(home: House) -> dict[str, str]:
    """Return the conversations that are left, each with the ending of its file."""
    found = {one: find_listed(str(home.home), one) for one in (FIRST, SECOND, THIRD)}
    return {one: Path(path).suffix for one, path in found.items() if path is not None}


PLAIN = {FIRST: ".jsonl", SECOND: ".jsonl", THIRD: ".jsonl"}


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("delete", "--yes", FIRST), {SECOND: ".jsonl", THIRD: ".jsonl"}),
        (("delete", "--yes", FIRST, "bf89999"), {THIRD: ".jsonl"}),
        (("delete", "--yes", "--before", "60d"), {SECOND: ".jsonl", THIRD: ".jsonl"}),
        (("delete", "--yes", "--since", "60d", "--before", "1d"), {FIRST: ".jsonl", THIRD: ".jsonl"}),
        (("delete", "--yes", "--text", "ROOF"), {}),
        (("delete", "--yes", "--directory", "/elsewhere"), PLAIN),
        (("delete", "--yes", "--archived"), PLAIN),
        (("compress", FIRST), {**PLAIN, FIRST: ".zst"}),
        (("compress", "--before", "10d"), {FIRST: ".zst", SECOND: ".zst", THIRD: ".jsonl"}),
        (("delete", "--dry-run", "--before", "60d"), PLAIN),
        (("compress", "--dry-run", "--before", "60d"), PLAIN),
    ],
)
def test_those_that_are_meant_are_changed_and_no_others(
    home: House, words: tuple[str, ...], left: dict[str, str]
) -> None:
    told = home.run("sessions", *words)
    assert (told.returncode, told.stderr) == (0, "")
    assert there(home) == left
    assert len(told.stdout.splitlines()) == (1 if "--dry-run" in words else len(PLAIN.items() - left.items()))


@pytest.mark.parametrize("verb", ["delete", "compress"])
def test_it_has_to_be_said_which_are_meant(home: House, verb: str) -> None:
    for words in ((), (FIRST, "--before", "1d"), ("ffff",), ("01a20312",)):
        told = home.run("sessions", verb, *words)
        assert (told.returncode, told.stdout) == (1, "")
    assert there(home) == PLAIN


def test_nothing_is_deleted_without_a_yes(home: House) -> None:
    told = home.run("sessions", "delete", FIRST)
    assert told.returncode == 1
    assert "--yes" in told.stderr
    assert there(home) == PLAIN


@pytest.mark.parametrize("words", [("delete", "--yes"), ("compress",)])
def test_one_in_use_is_left_and_the_others_are_changed(home: House, words: tuple[str, ...]) -> None:
    lock = WriterLock(str(home.home), FIRST)
    try:
        told = home.run("sessions", *words, "--before", "10d")
    finally:
        lock.release()
    assert told.returncode == 3
    assert f"{FIRST} is being written by" in told.stderr
    assert there(home)[FIRST] == ".jsonl"
    assert there(home).get(SECOND) != ".jsonl"


def test_one_with_the_beginning_of_a_fork_goes_after_the_fork(home: House) -> None:
    base = {"thread_id": FIRST, "end_ordinal_exclusive": 9}
    save(home.home, meta(SECOND, history_mode="paginated", history_base=base), conversation_id=SECOND)
    told = home.run("sessions", "delete", "--yes", FIRST)
    assert told.returncode == 3
    assert f"holds the beginning of {SECOND}" in told.stderr
    assert home.run("sessions", "delete", "--yes", SECOND, FIRST).returncode == 0
    assert there(home) == {THIRD: ".jsonl"}


def test_a_worktree_that_stays_is_named(home: House) -> None:
    place = home.home / "worktrees" / FIRST[-12:]
    place.mkdir(parents=True)
    assert f"its worktree stays in {place}" in home.run("sessions", "delete", "--yes", FIRST).stdout


def test_one_that_is_compressed_already_is_no_fault(home: House) -> None:
    home.run("sessions", "compress", FIRST)
    told = home.run("sessions", "compress", FIRST)
    assert (told.returncode, told.stdout) == (0, f"{FIRST} is compressed already\n")


def test_prune_does_what_is_set_and_nothing_by_default(home: House) -> None:
    told = home.run("sessions", "prune")
    assert (told.returncode, told.stdout) == (0, "")
    assert "is set" in told.stderr
    assert there(home) == PLAIN
    (home.home / "config.toml").write_text(
        "[greenroom]\ncompress_sessions_after_days = 30\ndelete_sessions_after_days = 90\n"
    )
    told = home.run("sessions", "prune", "--dry-run")
    assert sorted(told.stdout.splitlines()) == [f"would compress {SECOND}", f"would delete {FIRST}"]
    assert there(home) == PLAIN
    told = home.run("sessions", "prune")
    assert told.stdout.startswith("1 deleted, 1 compressed (saves ")
    assert there(home) == {SECOND: ".zst", THIRD: ".jsonl"}


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "5", "-1d", "1y", ""])
def test_a_time_that_is_none_is_refused(home: House, when: str) -> None:
    told = home.run("sessions", "list", f"--since={when}")
    assert told.returncode == 1
    assert "is no time" in told.stderr


@pytest.mark.parametrize("when", ["2026-11-29", "2026-11-29T14:00", "2026-11-29 14:00:05", "90d", "12h", "5m", "2w"])
def test_a_time_or_an_age_is_accepted(home: House, when: str) -> None:
    assert home.run("sessions", "list", "--since", when).returncode == 0
