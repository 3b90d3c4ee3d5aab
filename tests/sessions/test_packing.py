"""A session file that Greenroom compresses is one that every reader reads, and the plain one goes only after that."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionBusyError, SessionFileError
from greenroom.sessions import shelf
from greenroom.sessions.records.format import response_item
from greenroom.sessions.storage import packed
from greenroom.sessions.storage.directory import sync
from greenroom.sessions.storage.file import SessionFile, read
from greenroom.sessions.storage.finder import find_archived, find_listed
from greenroom.sessions.storage.lock import WriterLock
from greenroom.sessions.storage.packed import open_session, pack_file
from tests.sessions.storage.test_packed import CALLS, EVERY_SAMPLE, ITEM, NOTHING, SAMPLES, killed_at, pack, put


@EVERY_SAMPLE
def test_a_compressed_file_is_found_read_and_continued(tmp_path: Path, sample: Path) -> None:
    content = sample.read_bytes()
    path, conversation_id = put(tmp_path, content)
    os.utime(path, (7, 7))
    before = read(NOTHING, str(path))
    saved = shelf.compress(str(tmp_path), conversation_id)
    (target,) = path.parent.iterdir()
    assert target.name == path.name + ".zst"
    assert saved == len(content) - target.stat().st_size > 0
    assert (target.stat().st_mtime, target.stat().st_mode & 0o777) == (7, 0o600)
    assert zstd.decompress(target.read_bytes()) == content
    found = find_listed(str(tmp_path), conversation_id)
    assert found == str(target)
    assert read(NOTHING, found) == before
    file = SessionFile.resume(str(tmp_path), found, conversation_id)
    file.append([response_item(ITEM)])
    file.close()
    assert read(NOTHING, str(path)).items == [*before.items, ITEM]
    assert os.listdir(path.parent) == [path.name]


def test_a_compressed_file_stays_as_it_is(tmp_path: Path) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    target = pack(path)
    before = target.read_bytes()
    assert shelf.compress(str(tmp_path), conversation_id) == 0
    assert target.read_bytes() == before


def test_of_two_forms_the_plain_one_is_compressed_in_the_place_of_the_other(tmp_path: Path) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    target = pack(path)
    content = SAMPLES[1].read_bytes()
    path.write_bytes(content)
    shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [target.name]
    assert zstd.decompress(target.read_bytes()) == content


def test_an_archived_file_is_compressed_where_it_lies(tmp_path: Path) -> None:
    _, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    shelf.archive(str(tmp_path), conversation_id)
    shelf.compress(str(tmp_path), conversation_id)
    assert (find_archived(str(tmp_path), conversation_id) or "").endswith(".jsonl.zst")


@pytest.mark.parametrize("change", [shelf.compress, shelf.delete])
def test_a_file_in_use_or_changed_since_is_left_alone(tmp_path: Path, change: Callable[..., object]) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    lock = WriterLock(str(tmp_path), conversation_id)
    try:
        with pytest.raises(SessionBusyError, match="is being written by"):
            change(str(tmp_path), conversation_id)
    finally:
        lock.release()
    with pytest.raises(SessionBusyError, match="has gone on"):
        change(str(tmp_path), conversation_id, path.stat().st_mtime - 1)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == SAMPLES[0].read_bytes()
    change(str(tmp_path), conversation_id, path.stat().st_mtime)
    assert not path.exists()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", range(4))
def test_wherever_compressing_ends_early_the_conversation_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, which: int
) -> None:
    content = SAMPLES[0].read_bytes()
    path, conversation_id = put(tmp_path, content)
    with killed_at(monkeypatch, call, which):
        pack_file(NOTHING, str(path), str(path.with_name(f".{conversation_id}.new")))
    found = find_listed(str(tmp_path), conversation_id)
    assert found is not None
    with open_session(NOTHING, found) as file:
        assert file.read() == content
    SessionFile.resume(str(tmp_path), found, conversation_id).close()
    assert path.read_bytes() == content
    shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name + ".zst"]


def test_what_readers_would_refuse_as_a_bomb_stays_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "FREE", 1024)
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes() + b" " * 1024 * 1024)
    before = path.read_bytes()
    with pytest.raises(SessionFileError, match="unpacks to more than"):
        shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before


def test_what_does_not_read_back_stays_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the disk kept something else than was written."""
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    real: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        for name in path.parent.glob(".*.new"):
            name.write_bytes(zstd.compress(b"something else"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SessionFileError, match="does not read back"):
        shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name]


def test_what_is_written_to_until_the_packed_form_is_durable_stays_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program that takes no lock, after the packed form has its name."""
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())

    def write_and_sync(directory: str) -> None:
        with path.open("ab") as file:
            file.write(b"{}\n")
        sync(directory)

    monkeypatch.setattr(packed, "sync", write_and_sync)
    with pytest.raises(SessionFileError, match="takes no lock"):
        shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == SAMPLES[0].read_bytes() + b"{}\n"


@pytest.mark.parametrize("form", ["empty", "link"])
def test_what_is_no_session_file_is_left_alone(tmp_path: Path, form: str) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    if form == "empty":
        path.write_bytes(b"")
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SessionFileError):
        shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name]


@given(content=st.binary(min_size=1, max_size=4096), copies=st.sampled_from([1, 1000]))
def test_every_content_comes_back(tmp_path_factory: pytest.TempPathFactory, content: bytes, copies: int) -> None:
    path = tmp_path_factory.mktemp("packing") / "x.jsonl"
    path.write_bytes(content * copies)
    pack_file(Reader("/nowhere"), str(path), str(path.with_name("unfinished")))
    with open_session(NOTHING, str(path)) as file:
        assert file.read() == content * copies


def test_what_is_written_meanwhile_without_a_lock_stays_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, conversation_id = put(tmp_path, SAMPLES[0].read_bytes())
    real: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        with path.open("ab") as file:
            file.write(b'{"type":"event_msg"}\n')

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SessionFileError, match=r"does not read back|meanwhile"):
        shelf.compress(str(tmp_path), conversation_id)
    assert os.listdir(path.parent) == [path.name]
