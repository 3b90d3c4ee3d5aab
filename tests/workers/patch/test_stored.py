"""Patches of session files are shown as git reads them, whichever release has written them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.events.file_change import AddedFile, ChangesByPath, DeletedFile, UpdatedFile, keyed_changes
from greenroom.workers.patch.stored import as_diff

UPDATE = "@@ -1,2 +1,2 @@\n one\n-two\n+three\n"


def tagged(changes: ChangesByPath) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(changes)
    return plain


@pytest.mark.parametrize("form", [keyed_changes, tagged])
def test_git_applies_what_is_shown(tmp_path: Path, form: Callable[[ChangesByPath], dict[str, object]]) -> None:
    (tmp_path / "kept").write_text("one\ntwo\n")
    (tmp_path / "gone").write_text("bye\n")
    (tmp_path / "old name").write_text("same\n")
    first: ChangesByPath = {
        f"{tmp_path}/kept": UpdatedFile(UPDATE, None),
        f"{tmp_path}/gone": DeletedFile("bye\n"),
        f"{tmp_path}/sub/new": AddedFile("no newline"),
    }
    second: ChangesByPath = {f"{tmp_path}/old name": UpdatedFile("", f"{tmp_path}/new name")}
    diff = as_diff([form(first), form(second)], str(tmp_path))
    subprocess.run(("git", "apply", "--unidiff-zero", "-"), input=diff, cwd=tmp_path, text=True, check=True)
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"kept": "one\nthree\n", "sub/new": "no newline", "new name": "same\n"}


def test_files_elsewhere_are_named_whole() -> None:
    changes = tagged({"/else/where": UpdatedFile(UPDATE, "/x/here")})
    assert as_diff([changes], "/x").splitlines()[:5] == [
        "diff --git a/else/where b/here",
        "rename from else/where",
        "rename to here",
        "--- a/else/where",
        "+++ b/here",
    ]
    assert as_diff([changes], None).startswith("diff --git a/else/where b/x/here\n")


def test_changes_of_no_form_are_left_out() -> None:
    assert as_diff([{"/a": 5, "/b": {"fly": {}}, "/c": "delete"}], None) == (
        "diff --git a/c b/c\ndeleted file mode 100644\n"
    )
    assert as_diff([], "/x") == ""
