"""What the program for files does, each operation by itself."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.workers.files import operation

PARAMS = {"destination": "", "recursive": True, "force": True}


def do(name: str, path: Path | str, data: bytes = b"", **members: object) -> tuple[dict[str, Any], bytes]:
    """Return the answer to an operation, and the data behind it."""
    request = {"operation": name, "path": str(path), **PARAMS, **members}
    output = io.BytesIO()
    operation.main(io.BytesIO(json.dumps(request).encode() + b"\n" + data), output)
    line, _, rest = output.getvalue().partition(b"\n")
    return json.loads(line), rest


def test_a_file_is_written_read_and_written_shorter(tmp_path: Path) -> None:
    file = tmp_path / "f"
    assert do("writeFile", file, b"one\ntwo\xff") == ({}, b"")
    assert do("readFile", file) == ({}, b"one\ntwo\xff")
    assert do("writeFile", file, b"x")[0] == {}
    assert file.read_bytes() == b"x"


def test_kinds_of_things_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kinds = ("isDirectory", "isFile", "isSymlink")
    expected = {
        "file": (False, True, False),
        "link": (False, True, True),
        "nowhere": (False, False, True),
        "circle": (False, False, True),
        "dir": (True, False, False),
        "pipe": (False, False, False),
    }
    for name, facts in expected.items():
        told, _ = do("getMetadata", tmp_path / name)
        assert tuple(told[kind] for kind in kinds) == facts, name
        assert told["modifiedAtMs"] > 0
    listed = do("readDirectory", tmp_path)[0]["entries"]
    assert {entry["fileName"]: (entry["isDirectory"], entry["isFile"]) for entry in listed} == {
        name: facts[:2] for name, facts in expected.items()
    }


def test_a_name_that_is_no_unicode_is_listed(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))).touch()
    assert [entry["fileName"] for entry in do("readDirectory", tmp_path)[0]["entries"]] == ["\ufffd"]


def test_directories_are_created_and_removed(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    assert "error" in do("createDirectory", deep, recursive=False)[0]
    assert do("createDirectory", deep)[0] == {}
    assert do("createDirectory", deep)[0] == {}
    assert "error" in do("remove", tmp_path / "a", recursive=False)[0]
    assert do("remove", tmp_path / "a")[0] == {}
    assert do("remove", tmp_path / "a")[0] == {}
    assert "error" in do("remove", tmp_path / "a", force=False)[0]


def test_of_a_link_the_link_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(kept)
    assert do("remove", tmp_path / "link")[0] == {}
    assert do("remove", tmp_path / "tree")[0] == {}
    assert (kept / "file").exists()
    assert not (tmp_path / "tree").exists()


def test_files_links_and_trees_are_copied(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("x")
    (tree / "sub" / "file").chmod(0o640)
    (tree / "link").symlink_to("sub/file")
    os.mkfifo(tree / "pipe")
    assert do("copy", tree, destination=str(tmp_path / "copy"))[0] == {}
    copied = tmp_path / "copy"
    assert sorted(path.name for path in copied.rglob("*")) == ["file", "link", "sub"]
    assert (copied / "sub" / "file").stat().st_mode & 0o777 == 0o640
    assert os.readlink(copied / "link") == "sub/file"
    assert do("copy", tree / "link", destination=str(tmp_path / "l"))[0] == {}
    assert (tmp_path / "l").is_symlink()
    (tmp_path / "longer").write_text("something longer")
    assert do("copy", tree / "sub" / "file", destination=str(tmp_path / "longer"))[0] == {}
    assert (tmp_path / "longer").read_text() == "x"


@pytest.mark.parametrize(
    ("name", "path", "members"),
    [
        ("copy", "tree", {"destination": "tree/sub/x"}),
        ("copy", "tree", {"destination": "alias/x"}),
        ("copy", "tree", {"destination": "other", "recursive": False}),
        ("copy", "pipe", {"destination": "other"}),
        ("copy", "file", {"destination": "file"}),
        ("copy", "file", {"destination": "pipe"}),
        ("readFile", "pipe", {}),
        ("readFile", "tree", {}),
        ("readFile", "gone", {}),
        ("readFile", "circle", {}),
        ("readDirectory", "file", {}),
        ("writeFile", "tree", {}),
        ("writeFile", "gone/x", {}),
        ("getMetadata", "gone", {}),
        ("getMetadata", "a\0b", {}),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_waits(
    tmp_path: Path, name: str, path: str, members: dict[str, Any]
) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("tree/sub")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    if "destination" in members:
        members = {**members, "destination": str(tmp_path / members["destination"])}
    answer, _ = do(name, f"{tmp_path}/{path}", **members)
    assert answer["error"]["text"]
    assert (tmp_path / "file").read_text() == "x"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "LARGEST", 10)
    (tmp_path / "f").write_bytes(b"x" * 11)
    assert "error" in do("readFile", tmp_path / "f")[0]
    (tmp_path / "f").write_bytes(b"x" * 10)
    assert do("readFile", tmp_path / "f") == ({}, b"x" * 10)


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    """It runs without the packages of this one (`-I -S`)."""
    import ast

    source = Path(operation.__file__).read_text()
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
