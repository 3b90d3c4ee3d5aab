"""A packed session file is equivalent to a plain one: read alike, and plain again once its conversation continues."""

import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionBusyError, SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.sessions import index
from greenroom.sessions.records.format import response_item
from greenroom.sessions.replay import initial_messages
from greenroom.sessions.storage import packed
from greenroom.sessions.storage.file import SessionFile, read
from greenroom.sessions.storage.finder import find_listed
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.packed import open_session
from greenroom.workers.jobs.list_sessions import preview

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.jsonl"))
EVERY_SAMPLE = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
CALLS = ("open", "utime", "rename", "fsync", "unlink")
"""The calls by which files change."""
BIG = 3 * 1024 * 1024


def put(home: Path, content: bytes) -> tuple[Path, ConversationId]:
    first = json.loads(content.split(b"\n", 1)[0])
    conversation_id = first.get("payload", first)["id"]
    folder = home / "sessions" / "2026" / "11" / "22"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-2026-11-22T11-44-02-{conversation_id}.jsonl"
    path.write_bytes(content)
    return path, ConversationId(conversation_id)


def pack(path: Path, data: bytes | None = None) -> Path:
    """Do what Codex does with an idle file."""
    target = path.with_name(path.name + ".zst")
    target.write_bytes(zstd.compress(path.read_bytes()) if data is None else data)
    path.unlink()
    return target


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, call: str, which: int) -> Iterator[None]:
    """Run as if the process were killed at the call with this number: from it on, no call has an effect."""
    left = which

    def guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= left >= 0 and name == call
            if left < 0:
                raise OSError(5, "killed")
            return real(*arguments, **options)

        return run

    with monkeypatch.context() as patched, suppress(OSError):
        for name in CALLS:
            patched.setattr(os, name, guarded(name, getattr(os, name)))
        yield


def long(content: bytes) -> bytes:
    """Make a file longer than what a listing looks at, with something to find at its end."""
    filler = json.dumps({"timestamp": "", "type": "event_msg", "payload": {"type": "unknown", "text": "x" * 1000}})
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:-4], *[filler.encode() + b"\n"] * 1000, *lines[-4:]])


def entry(home: Path) -> tuple[Any, ...]:
    (one,) = index.entries(str(home))
    return one.id, one.started, one.cwd, one.model, one.title, one.tokens, one.fault


def forked(home: Path, conversation_id: ConversationId) -> Any:
    made = index.fork_conversation(str(home), conversation_id, None)
    path = find_listed(str(home), made.conversation_id)
    assert path is not None
    lines = Path(path).read_bytes().split(b"\n", 1)[1]
    Path(path).unlink()
    return made.turns, lines


NOTHING = Reader("/nowhere")
"""Of a home without secrets."""
Reading = Callable[[Path, ConversationId], Any]
READERS: dict[str, Reading] = {
    "entries": lambda home, _: entry(home),
    "page": lambda home, _: [one.title for one in index.session_page(str(home), 10)[0]],
    "story": lambda home, named: index.story(str(home), named).told,
    "turns": lambda home, named: index.story(str(home), named).turns,
    "changes": lambda home, named: index.file_changes(str(home), named),
    "passages": lambda home, named: index.passages(str(home), named),
    "exists": lambda home, named: index.exists(str(home), named),
    "search": lambda home, named: index.search(str(home), lambda one: one == named),
    "restored": lambda home, named: read(NOTHING, find_listed(str(home), named) or ""),
    "messages": lambda home, named: initial_messages(NOTHING, find_listed(str(home), named) or ""),
    "preview": lambda home, named: preview(NOTHING, find_listed(str(home), named) or ""),
    "fork": forked,
}


def outcome(reader: Reading, home: Path, conversation_id: ConversationId) -> Any:
    try:
        return reader(home, conversation_id)
    except SessionFileError as error:
        return str(error)


@EVERY_SAMPLE
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("size", ["short", "long"])
def test_a_packed_file_tells_what_the_plain_one_did(tmp_path: Path, sample: Path, reader: str, size: str) -> None:
    content = sample.read_bytes()
    path, conversation_id = put(tmp_path, long(content) if size == "long" else content)
    expected = outcome(READERS[reader], tmp_path, conversation_id)
    pack(path)
    assert outcome(READERS[reader], tmp_path, conversation_id) == expected


@EVERY_SAMPLE
def test_a_resumed_one_is_plain_again_and_goes_on(tmp_path: Path, sample: Path) -> None:
    content = sample.read_bytes()
    path, conversation_id = put(tmp_path, content)
    target = pack(path)
    found = find_listed(str(tmp_path), conversation_id)
    assert found == str(target)
    file = SessionFile.resume(str(tmp_path), found, conversation_id)
    file.append([response_item(ITEM)])
    file.close()
    assert file.path == str(path)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes().startswith(content)
    assert read(NOTHING, str(path)).items[-1] == ITEM
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_path_of_either_form_leads_to_the_one_that_is_there(tmp_path: Path) -> None:
    content = SAMPLES[0].read_bytes()
    path, _ = put(tmp_path, content)
    with open_session(NOTHING, f"{path}.zst") as file:
        assert file.read() == content
    pack(path)
    with open_session(NOTHING, str(path)) as file:
        assert file.read() == content


def test_of_two_forms_the_plain_one_counts_and_is_listed_once(tmp_path: Path) -> None:
    content = SAMPLES[0].read_bytes()
    path, conversation_id = put(tmp_path, content)
    pack(path)
    path.write_bytes(content + json.dumps({"timestamp": "", "type": "response_item", "payload": ITEM}).encode() + b"\n")
    assert [one.path for one in index.entries(str(tmp_path))] == [str(path)]
    assert find_listed(str(tmp_path), conversation_id) == str(path)
    assert read(NOTHING, f"{path}.zst").items[-1] == ITEM


def test_who_writes_elsewhere_keeps_a_packed_file_as_it_is(tmp_path: Path) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    target = pack(path)
    lock = WriterLock(str(tmp_path), conversation_id)
    try:
        with pytest.raises(SessionBusyError):
            SessionFile.resume(str(tmp_path), str(target), conversation_id)
    finally:
        lock.release()
    assert os.listdir(path.parent) == [target.name]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", range(3))
def test_wherever_unpacking_ends_early_the_conversation_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, which: int
) -> None:
    content = SAMPLES[0].read_bytes()
    path, conversation_id = put(tmp_path, content)
    target = pack(path)
    with killed_at(monkeypatch, call, which):
        packed.unpack_file(NOTHING, str(target), str(path.with_name(".x.new")))
    found = find_listed(str(tmp_path), conversation_id)
    assert found is not None
    with open_session(NOTHING, found) as file:
        assert file.read() == content
    SessionFile.resume(str(tmp_path), found, conversation_id).close()
    assert path.read_bytes() == content


@EVERY_SAMPLE
def test_one_that_was_cut_off_anywhere_is_read_as_far_as_it_goes(tmp_path: Path, sample: Path) -> None:
    content = sample.read_bytes()
    path, _ = put(tmp_path, content)
    whole = b"".join(zstd.compress(line) for line in content.splitlines(keepends=True))
    pack(path, whole)
    target = path.with_name(path.name + ".zst")
    for size in range(1, len(whole), 97):
        target.write_bytes(whole[:size])
        try:
            items = read(NOTHING, str(target)).items
        except SessionFileError:
            assert size < len(zstd.compress(content.splitlines(keepends=True)[0]))
            assert entry(tmp_path)[-1]
        else:
            assert items == read_plain(tmp_path, content).items[: len(items)]


@pytest.mark.parametrize("size", [0, 1, 7])
def test_one_of_which_nothing_is_left_is_a_typed_fault(tmp_path: Path, size: int) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    target = pack(path, zstd.compress(path.read_bytes())[:size])
    assert entry(tmp_path)[-1] == "it is empty"
    for reader in ("passages", "restored", "fork"):
        with pytest.raises(SessionFileError):
            READERS[reader](tmp_path, conversation_id)
    with pytest.raises(SessionFileError, match="it is empty"):
        SessionFile.resume(str(tmp_path), str(target), conversation_id)
    assert os.listdir(path.parent) == [target.name]


def read_plain(home: Path, content: bytes) -> Any:
    path = home / "plain.jsonl"
    path.write_bytes(content)
    return read(NOTHING, str(path))


def test_one_that_was_cut_off_is_kept_when_its_conversation_goes_on(tmp_path: Path) -> None:
    content = SAMPLES[0].read_bytes()
    path, conversation_id = put(tmp_path, content)
    first, *rest = content.splitlines(keepends=True)
    data = zstd.compress(first + rest[0]) + zstd.compress(b"".join(rest[1:]))[:-9]
    target = pack(path, data)
    SessionFile.resume(str(tmp_path), str(target), conversation_id).close()
    assert path.read_bytes().startswith(first + rest[0])
    assert path.with_name(target.name + ".damaged").read_bytes() == data
    assert [one.path for one in index.entries(str(tmp_path))] == [str(path)]


def damaged(content: bytes) -> bytes:
    data = bytearray(zstd.compress(content))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    return bytes(data)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "not packed at all": lambda content: content,
    "damaged within": damaged,
    "followed by rubbish": lambda content: zstd.compress(content) + b"rubbish",
    "a bomb": lambda content: zstd.compress(content + bytes(20 * BIG)),
    "a bomb without lines": lambda content: zstd.compress(bytes(20 * BIG)),
    "a bomb of many frames": lambda content: zstd.compress(content) + zstd.compress(bytes(BIG)) * 20,
}


@pytest.mark.parametrize("form", BROKEN)
def test_what_cannot_be_unpacked_is_a_typed_fault_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(packed, "FREE", BIG)
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    target = pack(path, BROKEN[form](path.read_bytes()))
    before = target.read_bytes()
    tracemalloc.start()
    try:
        assert entry(tmp_path)[-1]
        for reader in ("story", "changes", "passages", "restored", "fork"):
            with pytest.raises(SessionFileError):
                READERS[reader](tmp_path, conversation_id)
        assert initial_messages(NOTHING, str(target)) == []
        assert preview(NOTHING, str(target)) is None or form != "not packed at all"
        with pytest.raises(SessionFileError):
            SessionFile.resume(str(tmp_path), str(target), conversation_id)
        assert tracemalloc.get_traced_memory()[1] < 5 * BIG
    finally:
        tracemalloc.stop()
    assert os.listdir(path.parent) == [target.name]
    assert target.read_bytes() == before
    WriterLock(str(tmp_path), conversation_id).release()
