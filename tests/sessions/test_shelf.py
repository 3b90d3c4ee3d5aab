"""Files are put aside, back and away, in all their forms, and never while somebody writes them."""

from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionBusyError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import shelf
from greenroom.sessions.names import FILE, give_name, names
from greenroom.sessions.storage.finder import find_archived, find_listed
from greenroom.sessions.storage.lock import WriterLock

ID = ConversationId("01a2b3c4-0000-7000-8000-000000000000")


@pytest.fixture
def home(tmp_path: Path) -> str:
    folder = tmp_path / "sessions" / "2026" / "11" / "29"
    folder.mkdir(parents=True)
    for ending in ("", ".zst"):
        (folder / f"rollout-2026-11-29T10-00-00-{ID}.jsonl{ending}").write_text("{}\n")
    return str(tmp_path)


def test_a_file_is_put_aside_and_back_to_its_day(home: str) -> None:
    before = find_listed(home, ID)
    shelf.archive(home, ID)
    assert find_listed(home, ID) is None
    assert find_archived(home, ID) is not None
    with pytest.raises(SessionUnknownError):
        shelf.archive(home, ID)
    shelf.unarchive(home, ID)
    assert find_listed(home, ID) == before
    assert find_archived(home, ID) is None
    assert len(list(Path(home).rglob("*.zst"))) == 1


def test_a_file_is_deleted_in_all_its_forms_wherever_it_is(home: str) -> None:
    shelf.archive(home, ID)
    shelf.delete(home, ID)
    assert list(Path(home).rglob("rollout-*")) == []
    with pytest.raises(SessionUnknownError):
        shelf.delete(home, ID)


def test_a_file_that_is_being_written_stays(home: str) -> None:
    lock = WriterLock(home, ID)
    try:
        with pytest.raises(SessionBusyError):
            shelf.delete(home, ID)
    finally:
        lock.release()
    assert find_listed(home, ID) is not None


def test_the_last_name_counts(home: str) -> None:
    reader = Reader(home)
    assert names(reader) == {}
    give_name(reader, ID, "one")
    (Path(home) / FILE).open("ab").write(b'rubbish\n{"id":"other","thread_name":""}\n')
    give_name(reader, ID, "two")
    assert names(reader) == {ID: "two"}
