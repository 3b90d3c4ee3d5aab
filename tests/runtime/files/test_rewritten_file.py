"""A file is rewritten as a whole or not at all, and nothing of the attempt is left."""

import os
from pathlib import Path

import pytest

from greenroom.runtime.files.rewritten_file import remove_unfinished, rewrite
from tests.support.small_disk import SmallDisk


def test_a_file_gets_its_content_for_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for content in (b"first", b"second", b"sec", b""):
        rewrite(str(tmp_path), "rules/one.rules", content)
        assert (tmp_path / "rules" / "one.rules").read_bytes() == content
    assert (tmp_path / "rules" / "one.rules").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["rules"]
    assert os.listdir(tmp_path / "rules") == ["one.rules"]


def test_what_is_there_already_needs_no_room_on_a_full_disk() -> None:
    with SmallDisk() as disk:
        if not disk.is_small:
            pytest.skip("no file system can be mounted here")
        rewrite(str(disk.path), "config.toml", b"kept" * 5000)
        disk.fill()
        rewrite(str(disk.path), "config.toml", b"kept" * 5000)
        with pytest.raises(OSError, match="No space left"):
            rewrite(str(disk.path), "config.toml", b"other" * 5000)
        assert (disk.path / "config.toml").read_bytes() == b"kept" * 5000
    assert disk.left == {"config.toml"}


def test_what_a_writer_could_not_rename_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "config.toml" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        rewrite(str(tmp_path), "config.toml", b"text")
    assert os.listdir(tmp_path) == ["config.toml"]


@pytest.mark.parametrize(
    ("pid", "kept"),
    [(4711, [".greenroom-host.lock", ".notes.4712", "config.toml"]), (None, [".greenroom-host.lock", "config.toml"])],
)
def test_what_a_killed_writer_left_is_found(tmp_path: Path, pid: int | None, kept: list[str]) -> None:
    for name in (".greenroom-host.lock", ".notes.4712", "config.toml", ".config.toml.4711"):
        (tmp_path / name).touch()
    remove_unfinished(str(tmp_path), pid)
    assert sorted(os.listdir(tmp_path)) == kept


def test_nothing_is_removed_where_nothing_is(tmp_path: Path) -> None:
    remove_unfinished(str(tmp_path / "missing"))
    assert not list(tmp_path.iterdir())
