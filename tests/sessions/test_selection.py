"""Conversations are found by what was said in them, where, when, and how they stand."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import shelf
from greenroom.sessions.names import give_name
from greenroom.sessions.selection import Selection, select
from greenroom.sessions.storage.lock import WriterLock
from tests.sessions.test_index import context, line, meta, said, save

COMPLETED, FAILED, ABORTED, DIED, EMPTY, BROKEN = (f"01a20312-0577-77d3-9bb9-00000000000{n}" for n in range(6))
START = line("event_msg", type="task_started", turn_id="t")
END = line("event_msg", type="task_complete", turn_id="t", last_agent_message="ok")
FAULT = line("event_msg", type="task_complete", turn_id="t", error={"message": "no"})
ABORT = line("event_msg", type="turn_aborted", turn_id="t", reason="interrupted")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a conversation in each state; they were changed at second 10, 20, …, in this order."""
    turn = (context("gpt-5"), START)
    files = [
        save(tmp_path, meta(COMPLETED), *turn, said("user", "Mend the roof"), END, conversation_id=COMPLETED),
        save(tmp_path, meta(FAILED), context("m", "/srv/a"), said("user", "Paint it"), FAULT, conversation_id=FAILED),
        save(tmp_path, meta(ABORTED), context("m", "/srv/ab"), said("user", "b"), ABORT, conversation_id=ABORTED),
        save(tmp_path, meta(DIED), context("m", "/srv/a/b"), START, said("user", "roof again"), conversation_id=DIED),
        save(tmp_path, meta(EMPTY), conversation_id=EMPTY),
        save(tmp_path, "roof", conversation_id=BROKEN),
    ]
    for number, path in enumerate(files, 1):
        os.utime(path, (number * 10, number * 10))
    return tmp_path


ALL = {COMPLETED, FAILED, ABORTED, DIED, EMPTY, BROKEN}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(), ALL),
        (Selection(text="ROOF"), {COMPLETED, DIED}),
        (Selection(text="the house"), {FAILED}),
        (Selection(text="nowhere"), set()),
        (Selection(directory="/srv/a"), {FAILED, DIED}),
        (Selection(directory="/srv"), {FAILED, ABORTED, DIED}),
        (Selection(directory="/"), ALL - {BROKEN}),
        (Selection(since=20), ALL - {COMPLETED}),
        (Selection(before=20), {COMPLETED}),
        (Selection(since=20, before=40), {FAILED, ABORTED}),
        (Selection(states=frozenset({"completed"})), {COMPLETED}),
        (Selection(states=frozenset({"failed", "aborted"})), {FAILED, ABORTED}),
        (Selection(states=frozenset({"unfinished"})), {DIED}),
        (Selection(states=frozenset({"empty"})), {EMPTY}),
        (Selection(states=frozenset({"unreadable"})), {BROKEN}),
        (Selection(text="roof", directory="/srv", states=frozenset({"unfinished"}), since=5), {DIED}),
        (Selection(archived=True), set()),
    ],
)
@pytest.mark.parametrize("form", ["plain", "compressed"])
def test_each_thing_in_common_is_looked_at(home: Path, wanted: Selection, found: set[str], form: str) -> None:
    give_name(Reader(str(home)), ConversationId(FAILED), "The House")
    if form == "compressed":
        for conversation_id in ALL:
            shelf.compress(str(home), ConversationId(conversation_id))
    assert {entry.id for entry in select(str(home), wanted)} == found


def test_an_archived_one_is_found_among_those(home: Path) -> None:
    shelf.archive(str(home), ConversationId(DIED))
    assert {entry.id for entry in select(str(home), Selection(text="roof"))} == {COMPLETED}
    assert {entry.id for entry in select(str(home), Selection(text="roof", archived=True))} == {DIED}


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="reads /proc/locks")
def test_one_that_a_process_has_open_is_in_no_other_state(home: Path) -> None:
    lock = WriterLock(str(home), ConversationId(COMPLETED))
    try:
        opened = {entry.id for entry in select(str(home), Selection(states=frozenset({"open"})))}
        completed = {entry.id for entry in select(str(home), Selection(states=frozenset({"completed"})))}
    finally:
        lock.release()
    assert (opened, completed) == ({COMPLETED}, set())


def test_files_of_the_wrong_time_are_not_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real: Callable[..., int] = Reader.descriptor

    def noted(self: Reader, path: str, *given: object, **more: object) -> int:
        opened.append(path)
        return real(self, path, *given, **more)

    monkeypatch.setattr(Reader, "descriptor", noted)
    assert [entry.id for entry in select(str(home), Selection(before=20))] == [COMPLETED]
    assert [path for path in opened if COMPLETED not in path] == []
