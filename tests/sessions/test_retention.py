"""Session files are compressed and deleted when their time is over: not earlier, and only where that is set."""

import json
import os
import time
from pathlib import Path
from unittest.mock import ANY

import pytest

from greenroom.protocol.errors import SessionFileError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import retention, shelf
from greenroom.sessions.retention import (
    DAY,
    AgedFile,
    Retention,
    RetentionResult,
    apply_daily,
    apply_steps,
    due,
    plan_retention,
)
from greenroom.sessions.storage import lineage
from greenroom.sessions.storage.finder import SessionName, find_archived, find_listed
from greenroom.sessions.storage.lock import WriterLock
from tests.sessions.test_index import FIRST, SECOND, meta, said, save

NOW = 1_000 * DAY


def aged(days: float, name: str = FIRST, ending: str = "") -> AgedFile:
    path = f"/x/rollout-2026-11-22T10-00-00-{name}.jsonl{ending}"
    return AgedFile(SessionName(path, "2026-11-22T10-00-00", ConversationId(name)), NOW - days * DAY)


@pytest.mark.parametrize(
    ("set_to", "file", "act"),
    [
        (Retention(), aged(10_000), None),
        (Retention(30, 0), aged(29.9), None),
        (Retention(30, 0), aged(30), "compress"),
        (Retention(30, 0), aged(10_000), "compress"),
        (Retention(30, 0), aged(40, ending=".zst"), None),
        (Retention(0, 90), aged(89.9), None),
        (Retention(0, 90), aged(90), "delete"),
        (Retention(0, 90), aged(90, ending=".zst"), "delete"),
        (Retention(30, 90), aged(60), "compress"),
        (Retention(30, 90), aged(100), "delete"),
        (Retention(90, 30), aged(60), "delete"),
        (Retention(30, 90), aged(-5), None),
    ],
)
def test_what_is_due_follows_from_the_age(set_to: Retention, file: AgedFile, act: str | None) -> None:
    assert [step.act for step in plan_retention([file], set_to, NOW)] == ([] if act is None else [act])


def test_what_holds_the_beginning_of_another_is_not_deleted_but_may_be_compressed() -> None:
    steps = plan_retention([aged(100), aged(100, SECOND)], Retention(30, 90), NOW, {FIRST})
    assert [(step.act, step.file.name.conversation_id) for step in steps] == [("compress", FIRST), ("delete", SECOND)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a file of a hundred days, and one of today."""
    old = save(tmp_path, meta(FIRST), said("user", "old " * 1000), conversation_id=FIRST)
    save(tmp_path, meta(SECOND), said("user", "new"), conversation_id=SECOND)
    os.utime(old, (time.time() - 100 * DAY,) * 2)
    return tmp_path


def test_compressed_and_deleted_files_are_counted(home: Path) -> None:
    first = apply_steps(str(home), due(str(home), Retention(compress_after_days=30), time.time()))
    assert (first.compressed, first.deleted, first.left) == (1, 0, 0)
    assert first.saved > 3000
    assert (find_listed(str(home), FIRST) or "").endswith(".zst")
    assert due(str(home), Retention(compress_after_days=30), time.time()) == []
    second = apply_steps(str(home), due(str(home), Retention(30, 90), time.time()))
    assert second == RetentionResult(deleted=1)
    assert find_listed(str(home), FIRST) is None
    assert find_listed(str(home), SECOND) is not None


def test_archived_files_have_their_time_too(home: Path) -> None:
    shelf.archive(str(home), FIRST)
    apply_steps(str(home), due(str(home), Retention(delete_after_days=90), time.time()))
    assert find_archived(str(home), FIRST) is None


def test_nothing_is_done_to_a_file_in_use_nor_to_one_that_has_gone_on_meanwhile(home: Path) -> None:
    steps = due(str(home), Retention(delete_after_days=90), time.time())
    lock = WriterLock(str(home), FIRST)
    try:
        assert apply_steps(str(home), steps) == RetentionResult(left=1)
    finally:
        lock.release()
    path = find_listed(str(home), FIRST)
    assert path is not None
    os.utime(path)
    assert apply_steps(str(home), steps) == RetentionResult(left=1)
    assert find_listed(str(home), FIRST) == path


def test_it_stops_where_it_is_told_to(home: Path) -> None:
    steps = due(str(home), Retention(delete_after_days=90), time.time())
    assert apply_steps(str(home), steps, lambda: True) == RetentionResult()


def test_it_is_done_once_a_day_by_the_instance_that_looks_first(home: Path) -> None:
    wanted = Retention(compress_after_days=30)
    done = apply_daily(str(home), wanted, bool)
    assert done is not None
    assert done.compressed == 1
    assert apply_daily(str(home), wanted, bool) is None
    lock = home / retention.LOCK
    os.utime(lock, (time.time() - retention.PAUSE - 1,) * 2)
    assert apply_daily(str(home), wanted, bool) == RetentionResult()


def test_what_was_broken_off_is_done_by_the_next_instance(home: Path) -> None:
    wanted = Retention(compress_after_days=30)
    assert apply_daily(str(home), wanted, lambda: True) == RetentionResult()
    assert apply_daily(str(home), wanted, bool) == RetentionResult(compressed=1, saved=ANY)


def test_nothing_is_deleted_while_a_file_cannot_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have its beginning in any other."""
    wanted = Retention(compress_after_days=30, delete_after_days=90)
    assert "delete" in {step.act for step in due(str(home), wanted, time.time())}

    def unreadable(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(lineage, "session_origin", unreadable)
    with pytest.raises(SessionFileError, match="no file is deleted"):
        retention.fork_origins(str(home))
    assert {step.act for step in due(str(home), wanted, time.time())} <= {"compress"}


def test_a_fork_keeps_the_file_with_its_beginning(home: Path) -> None:
    head = json.loads(
        meta(SECOND, history_mode="paginated", history_base={"thread_id": FIRST, "end_ordinal_exclusive": 2})
    )
    save(home, json.dumps(head), conversation_id=SECOND)
    assert retention.fork_origins(str(home)) == {FIRST: {SECOND}}
    assert due(str(home), Retention(delete_after_days=90), time.time()) == []
    shelf.compress(str(home), SECOND)
    assert retention.fork_origins(str(home)) == {FIRST: {SECOND}}
    with pytest.raises(SessionFileError, match=f"holds the beginning of {SECOND}"):
        retention.delete_unless_forked(str(home), FIRST)
    retention.delete_unless_forked(str(home), SECOND)
    retention.delete_unless_forked(str(home), FIRST)
    with pytest.raises(SessionUnknownError):
        retention.delete_unless_forked(str(home), FIRST)
