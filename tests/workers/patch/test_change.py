"""How clients are told what happens to a file."""

from greenroom.workers.patch.change import Add, Delete, FileChange, Update, on_wire

CHANGES: dict[str, FileChange] = {
    "/a": Add("one\n"),
    "/d": Delete("old\n"),
    "/u": Update("@@ -1 +1 @@\n-a\n+b\n", None),
    "/m": Update("", "/n"),
}


def test_a_change_is_tagged_with_its_kind() -> None:
    wire = on_wire(CHANGES)
    assert wire["/a"] == {"type": "add", "content": "one\n"}
    assert wire["/d"] == {"type": "delete", "content": "old\n"}


def test_an_update_always_says_where_the_file_goes() -> None:
    wire = on_wire(CHANGES)
    assert wire["/u"] == {"type": "update", "unified_diff": "@@ -1 +1 @@\n-a\n+b\n", "move_path": None}
    assert wire["/m"] == {"type": "update", "unified_diff": "", "move_path": "/n"}
