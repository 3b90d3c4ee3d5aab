"""A session file is found by its conversation's id, wherever below `sessions` it lies, and soon."""

import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions.storage import finder
from greenroom.sessions.storage.file import session_path
from greenroom.sessions.storage.finder import find_listed, list_sessions

HOUR = 3600


def put(home: Path, folder: str, second: str, conversation_id: str) -> str:
    directory = home / "sessions" / folder
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"rollout-{second}-{conversation_id}.jsonl"
    path.touch()
    return str(path)


@pytest.mark.parametrize("folder", ["2026/11/22", "1999/01/01", "", "elsewhere", "2026"])
def test_a_file_is_found_in_any_folder(tmp_path: Path, folder: str) -> None:
    conversation_id = ConversationId(str(uuid4()))
    put(tmp_path, "2026/11/22", "2026-11-22T11-44-02", str(uuid4()))
    path = put(tmp_path, folder, "2026-11-22T11-44-02", conversation_id)
    assert find_listed(str(tmp_path), conversation_id) == path


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert find_listed(str(tmp_path), ConversationId(uuid7())) is None
    put(tmp_path, "2026/11/22", "2026-11-22T11-44-02", str(uuid4()))
    assert find_listed(str(tmp_path), ConversationId(str(uuid4()))) is None


@pytest.mark.parametrize(
    "name",
    [
        "rollout-2026-11-22-{id}.jsonl",
        "{id}.jsonl",
        "rollout-2026-11-22T11-44-02-{id}.jsonl.gz",
        "x-{id}.jsonl",
    ],
)
def test_other_names_are_not_session_files(tmp_path: Path, name: str) -> None:
    conversation_id = ConversationId(str(uuid4()))
    directory = tmp_path / "sessions"
    directory.mkdir()
    (directory / name.format(id=conversation_id)).touch()
    assert find_listed(str(tmp_path), conversation_id) is None


def test_among_many_of_a_day_only_the_names_with_the_id_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ConversationId(uuid7())
    today = datetime.now(UTC).strftime("%Y/%m/%d")
    for number in range(50):
        put(tmp_path, today, f"2026-11-22T11-44-{number:02d}", uuid7())
    put(tmp_path, today, "2026-11-22T11-44-01", wanted.upper())
    newest = put(tmp_path, today, "2026-11-22T11-45-02", wanted)
    read: list[str] = []

    class Pattern:
        """Counts what is read."""

        def fullmatch(self, text: str) -> re.Match[str] | None:
            read.append(text)
            return pattern.fullmatch(text)

    pattern = finder._NAME
    monkeypatch.setattr(finder, "_NAME", Pattern())
    assert find_listed(str(tmp_path), wanted) == newest
    assert len(read) == 1


@pytest.mark.parametrize("suffix", ["", ".zst"])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_file_that_was_begun_with_its_id_is_found_without_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, late: int
) -> None:
    conversation_id = ConversationId(uuid7())
    path = session_path(str(tmp_path), conversation_id, time.time() + late) + suffix
    os.makedirs(os.path.dirname(path))
    Path(path).touch()
    monkeypatch.setattr(os, "listdir", lambda _: pytest.fail("a directory was searched"))
    assert find_listed(str(tmp_path), conversation_id) == path


@pytest.mark.parametrize("hours", [-14, 0, 12])
def test_an_id_that_tells_its_day_is_looked_for_there_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    conversation_id = ConversationId(uuid7())
    local = datetime.now(UTC) + timedelta(hours=hours)
    path = put(tmp_path, local.strftime("%Y/%m/%d"), "2026-11-22T11-44-02", conversation_id)
    monkeypatch.delattr(finder, "list_sessions")
    assert find_listed(str(tmp_path), conversation_id) == path


def test_files_are_listed_newest_first(tmp_path: Path) -> None:
    seconds = ["2026-11-22T11-44-02", "2026-11-22T09-00-00", "2026-11-02T23-59-59", "2025-12-31T00-00-00"]
    for second in (seconds[2], seconds[0], seconds[3], seconds[1]):
        put(tmp_path, second[:10].replace("-", "/"), second, str(uuid4()))
    put(tmp_path, "old", "2027-01-01T00-00-00", str(uuid4()))
    (tmp_path / "sessions" / "loop").symlink_to(tmp_path / "sessions")
    assert [name.started for name in list_sessions(str(tmp_path))][:4] == seconds
    first = next(list_sessions(str(tmp_path)))
    assert first.path == str(tmp_path / "sessions/2026/11/22" / f"rollout-{seconds[0]}-{first.conversation_id}.jsonl")


def test_ten_thousand_files_do_not_make_it_slow(tmp_path: Path) -> None:
    for number in range(10_000):
        put(tmp_path, f"2026/{number % 12 + 1:02d}/{number % 28 + 1:02d}", "2026-11-22T11-44-02", str(uuid4()))
    wanted = ConversationId(str(uuid4()))
    path = put(tmp_path, "2026/01/01", "2026-11-22T11-44-02", wanted)
    started = time.process_time()
    assert find_listed(str(tmp_path), wanted) == path
    assert time.process_time() - started < 1
