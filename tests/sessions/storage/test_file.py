"""What was committed is in the file, whatever happens to the writer, and only one writes at a time."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionBusyError, SessionFileError
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.format import SessionRecord, encode_line, response_item, session_meta, stored_event
from greenroom.sessions.storage import file as session_file
from greenroom.sessions.storage.file import SessionFile, read, session_path
from greenroom.sessions.storage.lock import FOLDER
from tests.support.events import event

SAMPLES = Path(__file__).parents[1] / "samples"
STARTED = 1795347842.472
READER = Reader(os.devnull)


def said(text: str) -> JsonObject:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def user(text: str) -> SessionRecord:
    return response_item(said(text))


def meta(conversation_id: ConversationId) -> SessionRecord:
    return session_meta(
        conversation_id=conversation_id,
        started=STARTED,
        cwd="/home/ada/shop",
        originator="o",
        cli_version="1",
        model_provider="p",
        base_instructions="Be brief.",
    )


@pytest.fixture
def conversation_id() -> ConversationId:
    return ConversationId(uuid7())


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


@pytest.fixture
def file(home: str, conversation_id: ConversationId) -> Iterator[SessionFile]:
    made = SessionFile.create(home, conversation_id, meta(conversation_id), STARTED)
    yield made
    made.close()


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def lock_files(home: str) -> list[str]:
    return sorted(os.listdir(os.path.join(home, FOLDER)))


# The two modes


def decoded(path: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in Path(path).read_bytes().splitlines()]


def paginated(home: str, conversation_id: ConversationId, end: bytes = b"") -> str:
    """Make a file as `codex exec` of a later release makes it."""
    record = meta(conversation_id)
    head = SessionRecord(record.kind, {**msgspec.to_builtins(record.payload), "history_mode": "paginated"})
    path = Path(session_path(home, conversation_id, STARTED))
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_line(head, STARTED, 0) + encode_line(user("a"), STARTED, 1) + end)
    return str(path)


@pytest.mark.parametrize(
    ("end", "kept"), [(b"", 2), (b'{"timestamp":"t","ord', 2), (encode_line(user("b"), STARTED, 2)[:-1], 3)]
)
def test_a_paginated_file_goes_on_with_its_numbers(
    home: str, conversation_id: ConversationId, end: bytes, kept: int
) -> None:
    path = paginated(home, conversation_id, end)
    for _ in range(2):
        file = SessionFile.resume(home, path, conversation_id)
        assert file.history_mode == "paginated"
        file.append([user("c"), user("d")])
        file.append(())
        file.append([user("e")])
        file.close()
    assert [line["ordinal"] for line in decoded(path)] == list(range(kept + 6))
    assert len(read(READER, path).items) == kept - 1 + 6


def test_what_threads_append_to_a_paginated_file_is_numbered_in_its_order(
    home: str, conversation_id: ConversationId
) -> None:
    path = paginated(home, conversation_id)
    file = SessionFile.resume(home, path, conversation_id)
    with ThreadPoolExecutor(4) as threads:
        for number in range(40):
            threads.submit(file.append, [user(str(number)), user("and on")])
    file.close()
    assert [line["ordinal"] for line in decoded(path)] == list(range(82))


def test_files_of_our_own_have_no_numbers(file: SessionFile) -> None:
    file.append([user("a")])
    file.commit()
    assert file.history_mode == "legacy"
    assert all("ordinal" not in line for line in decoded(file.path))


# Making


def test_the_name_tells_the_start_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        path = session_path("/h", ConversationId("i"), STARTED)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert path == "/h/sessions/2026/11/23/rollout-2026-11-23T01-44-02-i.jsonl"


def test_a_conversation_without_a_turn_leaves_no_file(file: SessionFile, home: str) -> None:
    file.commit()
    assert not file.pending()
    file.close()
    assert not os.path.exists(home)


def test_the_first_commit_makes_the_file_for_the_user_alone(
    file: SessionFile, home: str, conversation_id: ConversationId
) -> None:
    file.append([user("hello")])
    assert not os.path.exists(file.path)
    file.commit()
    assert mode(file.path) == 0o600
    directory = os.path.dirname(file.path)
    while directory != os.path.dirname(home):
        assert mode(directory) == 0o700
        directory = os.path.dirname(directory)
    restored = read(READER, file.path)
    assert (restored.conversation_id, restored.items) == (conversation_id, [said("hello")])


def test_records_get_the_time_at_which_they_were_appended(home: str, conversation_id: ConversationId) -> None:
    times = iter([1.0, 2.0])
    file = SessionFile.create(home, conversation_id, meta(conversation_id), 0.0, lambda: next(times))
    file.append([user("a")])
    file.append([user("b")])
    file.close()
    lines = Path(file.path).read_bytes().splitlines()
    assert [line[14:38].decode() for line in lines] == [f"1970-01-01T00:00:0{second}.000Z" for second in range(3)]


def test_events_and_items_keep_their_order(file: SessionFile) -> None:
    started = stored_event(event("task_started", turn_id="t"))
    assert started is not None
    file.append([started, user("a")])
    file.append([user("b")])
    file.commit()
    restored = read(READER, file.path)
    assert (restored.items, restored.interrupted) == ([said("a"), said("b")], True)


# Committing


def test_one_commit_is_one_write_and_waits_for_the_disk(file: SessionFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append([user("a")])
    file.commit()
    calls: list[str] = []
    write = os.write

    def count_write(descriptor: int, data: bytes) -> int:
        calls.append("write")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", count_write)
    monkeypatch.setattr(session_file, "_sync_data", lambda descriptor: calls.append("sync"))
    file.append([user("b"), user("c")])
    file.append([user("d")])
    assert file.pending()
    file.commit()
    file.commit()
    assert calls == ["write", "sync"]
    assert not file.pending()
    assert read(READER, file.path).items == [said(text) for text in "abcd"]


def test_a_full_disk_loses_nothing(file: SessionFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append([user("a")])
    file.commit()
    write = os.write

    def fill_up(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", refuse)
        return write(descriptor, data[:20])

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fill_up)
    file.append([user("b")])
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            file.commit()
        assert file.pending()
        assert read(READER, file.path).torn
    monkeypatch.undo()
    file.append([user("c")])
    file.commit()
    assert read(READER, file.path).items == [said(text) for text in "abc"]


def test_a_disk_that_does_not_confirm_is_asked_again(file: SessionFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file.append([user("a")])
    monkeypatch.setattr(session_file, "_sync_data", refuse)
    with pytest.raises(OSError, match="Input/output"):
        file.commit()
    assert file.pending()
    monkeypatch.undo()
    file.commit()
    assert not file.pending()
    assert read(READER, file.path).items == [said("a")]


def test_appending_goes_on_while_threads_commit(file: SessionFile) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(200):
            file.append([user(str(number))])
            pool.submit(file.commit)
    file.commit()
    assert read(READER, file.path).items == [said(str(number)) for number in range(200)]


def test_a_writer_that_is_killed_has_lost_nothing_that_it_committed(home: str, conversation_id: ConversationId) -> None:
    program = f"""
import os, signal
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.file import SessionFile
from greenroom.sessions.records.format import SessionRecord, response_item
item = {{"type": "message", "role": "user", "content": []}}
meta = SessionRecord("session_meta", {{"id": {conversation_id!r}}})
file = SessionFile.create({home!r}, ConversationId({conversation_id!r}), meta, 0.0)
file.append([response_item(item)])
file.commit()
file.append([response_item(item)])
print(file.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=30, check=False)
    path = told.stdout.strip()
    assert len(read(READER, path).items) == 1
    with_lock_left = SessionFile.resume(home, path, conversation_id)
    with_lock_left.close()
    assert lock_files(home) == [".coordination.lock"]


def test_a_writer_that_is_killed_in_its_first_write_has_made_no_file(
    home: str, conversation_id: ConversationId
) -> None:
    """A conversation without its metadata could not be taken up again, and nothing of it was promised."""
    program = f"""
import os, signal
from greenroom.protocol.ids import ConversationId
from greenroom.sessions.storage.file import SessionFile
from greenroom.sessions.records.format import SessionRecord

def write(descriptor, data, real=os.write):
    real(descriptor, data[:20])
    os.kill(os.getpid(), signal.SIGKILL)

first = SessionRecord("session_meta", {{"id": "x"}})
file = SessionFile.create({home!r}, ConversationId({conversation_id!r}), first, 0.0)
os.write = write
file.begin()
"""
    killed = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    path = Path(session_path(home, conversation_id, 0.0))
    assert [entry.suffix for entry in path.parent.iterdir()] == [".new"]
    following = SessionFile.create(home, conversation_id, meta(conversation_id), 0.0)
    following.append([user("a")])
    following.close()
    assert list(path.parent.iterdir()) == [path]
    assert read(READER, str(path)).items == [said("a")]


# Resuming


def written(home: str, conversation_id: ConversationId, content: bytes) -> str:
    path = session_path(home, conversation_id, STARTED)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_bytes(content)
    return path


def cuts(lines: Sequence[bytes]) -> list[int]:
    """Return places in these lines: each byte near their ends, and every seventh of the others."""
    bounds = [0, *accumulate(map(len, lines))]
    near = {place for bound in bounds for place in range(max(bound - 24, 0), min(bound + 24, bounds[-1]) + 1)}
    return sorted(near | set(range(0, bounds[-1], 7)))


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*-command.jsonl")), ids=lambda path: path.stem)
def test_a_file_cut_anywhere_in_its_last_records_reads_back_and_goes_on(
    home: str, conversation_id: ConversationId, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_file, "_sync_data", lambda descriptor: None)
    data = sample.read_bytes()
    lines = data.splitlines(keepends=True)
    sound = len(b"".join(lines[:-3]))
    for end in (sound + place for place in cuts(lines[-3:])):
        path = written(home, conversation_id, data[:end])
        before = read(READER, path)
        complete = data[:end].count(b"\n")
        last_is_whole = end < len(data) and data[end : end + 1] == b"\n"
        assert before.torn == (not data[:end].endswith(b"\n") and not last_is_whole)
        file = SessionFile.resume(home, path, conversation_id)
        file.append([user("after")])
        file.close()
        after = read(READER, path)
        assert after.items == [*before.items, said("after")]
        assert not after.torn
        assert Path(path).read_bytes().count(b"\n") == complete + last_is_whole + 1


@pytest.mark.parametrize("tail", [b"\0" * 100, b"x" * 200_000, b'{"type":"response_item"', b"\xff"])
def test_a_torn_tail_is_cut_off(home: str, conversation_id: ConversationId, tail: bytes) -> None:
    sound = encode_line(meta(conversation_id), 0) + encode_line(user("a"), 0)
    path = written(home, conversation_id, sound + tail)
    SessionFile.resume(home, path, conversation_id).close()
    assert Path(path).read_bytes() == sound


def test_a_whole_last_line_only_gets_its_newline(home: str, conversation_id: ConversationId) -> None:
    sound = encode_line(meta(conversation_id), 0) + encode_line(user("a" * 100_000), 0)
    path = written(home, conversation_id, sound[:-1])
    SessionFile.resume(home, path, conversation_id).close()
    assert Path(path).read_bytes() == sound


@pytest.mark.parametrize("content", [b"torn", b"\0"])
def test_a_file_without_one_whole_line_is_left_alone(
    home: str, conversation_id: ConversationId, content: bytes
) -> None:
    path = written(home, conversation_id, content)
    with pytest.raises(SessionFileError, match="no whole line"):
        SessionFile.resume(home, path, conversation_id)
    assert Path(path).read_bytes() == content
    assert lock_files(home) == [".coordination.lock"]


def test_a_file_has_one_writer_from_the_first_commit_on(
    file: SessionFile, home: str, conversation_id: ConversationId
) -> None:
    file.append([user("a")])
    file.commit()
    with pytest.raises(SessionBusyError, match=str(conversation_id)):
        SessionFile.resume(home, file.path, conversation_id)
    file.append([user("b")])
    file.close()
    second = SessionFile.resume(home, file.path, conversation_id)
    second.append([user("c")])
    second.close()
    assert read(READER, file.path).items == [said(text) for text in "abc"]


def test_a_file_that_is_gone_is_told(home: str, conversation_id: ConversationId) -> None:
    with pytest.raises(SessionFileError, match="No such file"):
        SessionFile.resume(home, os.path.join(home, "gone.jsonl"), conversation_id)
    with pytest.raises(SessionFileError, match=r"gone\.jsonl cannot be read: No such file"):
        read(READER, os.path.join(home, "gone.jsonl"))
    Path(home, "empty.jsonl").touch()
    with pytest.raises(SessionFileError, match=r"empty\.jsonl cannot be read: it is empty"):
        read(READER, os.path.join(home, "empty.jsonl"))
