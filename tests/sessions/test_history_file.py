"""The file of what the user said: one line a message, its user's alone, bounded, shared with other programs."""

import asyncio
import fcntl
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import ConversationId
from greenroom.sessions.history_file import MessageHistory, remember

ID = ConversationId("01a20312-0577-77d3-9bb9-ad78bbf82560")


def lines(home: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in (home / "history.jsonl").read_bytes().splitlines()]


def test_each_message_is_a_line(tmp_path: Path) -> None:
    for number, text in enumerate(("one", "two\nlines é", "")):
        remember(str(tmp_path), ID, text, 100.9 + number, None)
    assert lines(tmp_path) == [
        {"session_id": ID, "ts": 100, "text": "one"},
        {"session_id": ID, "ts": 101, "text": "two\nlines é"},
        {"session_id": ID, "ts": 102, "text": ""},
    ]


def test_it_is_for_its_user_alone_also_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("")
    path.chmod(0o644)
    remember(str(tmp_path), ID, "hush", 1.0, None)
    assert os.stat(path).st_mode & 0o777 == 0o600


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=20), limit=st.integers(0, 400))
def test_it_stays_within_its_size_and_keeps_the_newest(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], limit: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    for number, text in enumerate(texts):
        remember(str(home), ID, text, number, limit)
    kept = lines(home)
    assert [entry["text"] for entry in kept] == texts[-len(kept) :]
    assert len(kept) == 1 or (home / "history.jsonl").stat().st_size <= limit


def test_what_is_dropped_makes_room_for_a_while(tmp_path: Path) -> None:
    for number in range(100):
        remember(str(tmp_path), ID, "x" * 10, number, 2_000)
    size = (tmp_path / "history.jsonl").stat().st_size
    line = size // len(lines(tmp_path))
    assert 1_600 - line < size <= 2_000


def test_a_program_that_holds_it_is_waited_for_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "history.jsonl").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            remember(str(tmp_path), ID, "one", 1.0, None, lock_timeout_s=0.0)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(other, fcntl.LOCK_UN))
        remember(str(tmp_path), ID, "two", 2.0, None)
    assert [entry["text"] for entry in lines(tmp_path)] == ["two"]


def test_a_home_that_cannot_be_written_to_costs_no_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        history = MessageHistory(str(tmp_path / "gone"), ID, None)
        await history.add("one")
        await history.close()

    asyncio.run(scene())
    assert "history.jsonl was not written to" in caplog.text
