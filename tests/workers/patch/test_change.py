"""How clients are told what happens to a file."""

import pytest

from workers.patch.change import Add, Delete, FileChange, Update, WireForm, on_wire

CHANGES: dict[str, FileChange] = {
    "/a": Add("one\n"),
    "/d": Delete("old\n"),
    "/u": Update("@@ -1 +1 @@\n-a\n+b\n", None),
    "/m": Update("", "/n"),
}


@pytest.mark.parametrize(
    ("form", "add", "delete"),
    [
        ("keyed", {"add": {"content": "one\n"}}, {"delete": {"content": "old\n"}}),
        ("baseline", {"add": {"content": "one\n"}}, "delete"),
        ("tagged", {"type": "add", "content": "one\n"}, {"type": "delete", "content": "old\n"}),
    ],
)
def test_every_release_gets_the_form_it_knows(form: WireForm, add: object, delete: object) -> None:
    wire = on_wire(CHANGES, form)
    assert (wire["/a"], wire["/d"]) == (add, delete)


def test_an_update_always_says_where_the_file_goes() -> None:
    wire = on_wire(CHANGES)
    assert wire["/u"] == {"update": {"unified_diff": "@@ -1 +1 @@\n-a\n+b\n", "move_path": None}}
    assert wire["/m"] == {"update": {"unified_diff": "", "move_path": "/n"}}
    assert on_wire(CHANGES, "tagged")["/m"] == {"type": "update", "unified_diff": "", "move_path": "/n"}
