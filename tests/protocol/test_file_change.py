"""How clients are told what happens to a file."""

import msgspec

from greenroom.protocol.events.file_change import (
    AddedFile,
    ChangesByPath,
    DeletedFile,
    UpdatedFile,
    baseline_changes,
    keyed_changes,
)

DIFF = "@@ -1 +1 @@\n-a\n+b\n"
CHANGES: ChangesByPath = {
    "/a": AddedFile("one\n"),
    "/d": DeletedFile("old\n"),
    "/u": UpdatedFile(DIFF, None),
    "/m": UpdatedFile("", "/n"),
}


def test_a_change_is_tagged_with_its_kind_and_an_update_always_says_where_the_file_goes() -> None:
    assert msgspec.to_builtins(CHANGES) == {
        "/a": {"type": "add", "content": "one\n"},
        "/d": {"type": "delete", "content": "old\n"},
        "/u": {"type": "update", "unified_diff": DIFF, "move_path": None},
        "/m": {"type": "update", "unified_diff": "", "move_path": "/n"},
    }


def test_before_november_2025_the_kind_was_the_key() -> None:
    assert keyed_changes(CHANGES) == {
        "/a": {"add": {"content": "one\n"}},
        "/d": {"delete": {"content": "old\n"}},
        "/u": {"update": {"unified_diff": DIFF, "move_path": None}},
        "/m": {"update": {"unified_diff": "", "move_path": "/n"}},
    }


def test_in_august_2025_a_deletion_was_a_word() -> None:
    assert baseline_changes(CHANGES) == {**keyed_changes(CHANGES), "/d": "delete"}
