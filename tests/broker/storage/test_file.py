"""The file is replaced as a whole or not at all, whatever other programs write (docs/security.md, K7, K8, K9)."""

import asyncio
import errno
import json
import os
import stat
import time
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.broker.credential.record import AuthRecord, StoreError
from greenroom.broker.storage.file import FileFacts, FileStore
from tests.broker.homes import tokens, write
from tests.support.virtual_time import in_virtual_time

KEY = AuthRecord.of_key("sk-test-key")


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_key_login_into_an_empty_home(tmp_path: Any) -> None:
    """Scenarios 1 and 12: the home is created, private; the file too."""
    home = tmp_path / "deep" / "home"
    store = FileStore(str(home))
    assert store.read_once() is None
    assert store.facts() is None
    store.replace(KEY)
    found = store.read_once()
    assert found is not None
    assert found.openai_api_key == "sk-test-key"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "auth.json").stat().st_mode) == 0o600
    assert [entry.name for entry in home.iterdir()] == ["auth.json"]


def test_a_loose_file_becomes_private(tmp_path: Any) -> None:
    """In the reference the mode was set at creation only."""
    (tmp_path / "auth.json").write_text("{}")
    (tmp_path / "auth.json").chmod(0o644)
    FileStore(str(tmp_path)).replace(KEY)
    assert stat.S_IMODE((tmp_path / "auth.json").stat().st_mode) == 0o600


def test_removing(tmp_path: Any) -> None:
    """Scenario 8."""
    store = FileStore(str(tmp_path))
    store.replace(KEY)
    assert store.remove()
    assert not store.remove()
    assert not FileStore(str(tmp_path / "missing")).remove()


def test_a_symbolic_link_stays_one(tmp_path: Any) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "home" / "auth.json").symlink_to(tmp_path / "real.json")
    FileStore(str(tmp_path / "home")).replace(KEY)
    assert (tmp_path / "home" / "auth.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["OPENAI_API_KEY"] == "sk-test-key"


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV, errno.EACCES])
def test_a_file_that_cannot_be_replaced_is_written_into(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """K7, scenario 48: single-file bind mounts."""
    store = FileStore(str(tmp_path))
    write(str(tmp_path), tokens("refresh-1") | {"padding": "x" * 4000})
    inode = (tmp_path / "auth.json").stat().st_ino
    monkeypatch.setattr(os, "rename", failing(code))
    store.replace(KEY)
    assert (tmp_path / "auth.json").stat().st_ino == inode
    assert json.loads((tmp_path / "auth.json").read_text()) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-test-key"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["auth.json"]


@pytest.mark.parametrize("place", ["write", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failure_anywhere_leaves_the_old_content(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, place: str, code: int
) -> None:
    """K7: the old file whole, nothing left beside it."""
    store = FileStore(str(tmp_path))
    store.replace(KEY)
    before = (tmp_path / "auth.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, place, failing(code))
        with pytest.raises(OSError, match=os.strerror(code)):
            store.replace(AuthRecord.of_key("sk-other"))
    assert (tmp_path / "auth.json").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["auth.json"]


def test_writability_is_tried_not_asked(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K8."""
    store = FileStore(str(tmp_path))
    store.replace(KEY)
    assert store.is_writable()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(errno.EROFS))
        assert not store.is_writable()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.ENOSPC))
        assert not store.is_writable()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        assert not store.is_writable()
    store.remove()
    assert not store.is_writable()


def test_what_dead_writers_left_is_swept(tmp_path: Any) -> None:
    """K7: temporary files older than an hour, and no others."""
    old = time.time() - 3700
    for name, at in (("auth.json.1.aa.tmp", old), ("auth.json.2.bb.tmp", time.time()), ("other.tmp", old)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (at, at))
    FileStore(str(tmp_path)).sweep()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["auth.json.2.bb.tmp", "other.tmp"]
    FileStore(str(tmp_path / "missing")).sweep()


@pytest.mark.parametrize("content", [b"", b'{"tokens":'])
def test_a_torn_file_is_read_again(tmp_path: Any, content: bytes) -> None:
    """K9: a foreign writer truncates in place and takes its time."""
    (tmp_path / "auth.json").write_bytes(content)
    store = FileStore(str(tmp_path))

    async def run() -> AuthRecord | None:
        asyncio.get_running_loop().call_later(0.09, (tmp_path / "auth.json").write_bytes, KEY.encoded())
        return await store.read()

    found = asyncio.run(run())
    assert found is not None
    assert found.openai_api_key == "sk-test-key"


@in_virtual_time
async def test_a_file_that_stays_torn_is_bad(tmp_path: Any) -> None:
    (tmp_path / "auth.json").write_text("{")
    with pytest.raises(StoreError):
        await FileStore(str(tmp_path)).read()
    (tmp_path / "auth.json").unlink()
    (tmp_path / "auth.json").mkdir()
    with pytest.raises(StoreError, match="Is a directory"):
        await FileStore(str(tmp_path)).read()


@in_virtual_time
async def test_a_restless_foreign_writer_never_makes_the_store_bad(tmp_path: Any) -> None:
    """K9, scenario 47: it truncates and writes in place every few milliseconds."""
    path = tmp_path / "auth.json"
    content = json.dumps(tokens("refresh-1")).encode()
    path.write_bytes(content)

    async def scribble() -> None:
        while True:
            await asyncio.sleep(0.005)
            path.write_bytes(b"")
            await asyncio.sleep(0.001)
            path.write_bytes(content[:100])
            await asyncio.sleep(0.001)
            path.write_bytes(content)

    writer = asyncio.create_task(scribble())
    for _ in range(100):
        assert await FileStore(str(tmp_path)).read() is not None
        await asyncio.sleep(0.003)
    writer.cancel()


def test_facts_tell_contents_apart_once_they_have_settled(tmp_path: Any) -> None:
    store = FileStore(str(tmp_path))
    store.replace(KEY)
    facts = store.facts()
    assert not store.is_settled(facts)
    assert store.is_settled(None)
    assert store.is_settled(FileFacts(1, time.time_ns() - 60_000_000, 1))
    store.replace(AuthRecord.of_key("sk-test-kez"))
    assert store.facts() != facts
