"""What a patch will do to files, worked out before anything is done."""

import re
from collections.abc import Mapping
from errno import EISDIR
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.events.file_change import AddedFile, DeletedFile, UpdatedFile
from greenroom.workers.patch.errors import PatchError, PatchMismatchError
from greenroom.workers.patch.language import parse_patch
from greenroom.workers.patch.plan import PatchPlan, plan_patch


class Files:
    """Files in memory, under /w. Links are names that lead to another."""

    def __init__(self, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> None:
        self._files = files
        self._links = links or {}

    def is_directory(self, path: str) -> bool:
        return path == "/w"

    def target(self, path: str, *, follow: bool) -> str:
        return self._links.get(path, path) if follow else path

    def read(self, target: str) -> bytes | None:
        if target == "/w":
            raise OSError(EISDIR, "Is a directory")
        return self._files.get(self._links.get(target, target))


def plan(files: Mapping[str, bytes], *lines: str, links: Mapping[str, str] | None = None) -> PatchPlan:
    return plan_patch(parse_patch("\n".join(["*** Begin Patch", *lines, "*** End Patch"])), "/w", Files(files, links))


def outcome(plan: PatchPlan) -> dict[str, bytes | None]:
    return {effect.target: effect.after for effect in plan.effects}


def test_every_kind_of_change_is_planned_and_told() -> None:
    made = plan(
        {"/w/d": b"old\n", "/w/u": b"a\n", "/w/m": b"x\n"},
        "*** Update File: u",
        "@@",
        "-a",
        "+b",
        "*** Add File: sub/n",
        "+new",
        "*** Delete File: d",
        "*** Update File: ./m",
        "*** Move to: sub/m",
        "@@",
        "-x",
        "+y",
    )
    assert outcome(made) == {"/w/u": b"b\n", "/w/sub/n": b"new\n", "/w/d": None, "/w/m": None, "/w/sub/m": b"y\n"}
    assert made.changes == {
        "/w/u": UpdatedFile("@@ -1 +1 @@\n-a\n+b\n", None),
        "/w/sub/n": AddedFile("new\n"),
        "/w/d": DeletedFile("old\n"),
        "/w/m": UpdatedFile("@@ -1 +1 @@\n-x\n+y\n", "/w/sub/m"),
    }
    assert made.summary == "Success. Updated the following files:\nA sub/n\nM u\nM sub/m\nD d\n"
    assert made.paths == ("/w/u", "/w/sub/n", "/w/d", "/w/m", "/w/sub/m")


def test_a_patch_without_sections_is_empty() -> None:
    assert plan({}).is_empty
    assert not plan({"/w/a": b""}, "*** Delete File: a").is_empty


def test_absolute_paths_are_taken_and_dots_resolved_as_text() -> None:
    made = plan({}, "*** Add File: /x/../y", "+", "*** Add File: a/../../z", "+", "*** Add File: //q", "+")
    assert made.paths == ("/y", "/z", "/q")


def test_sections_build_on_each_other() -> None:
    made = plan(
        {"/w/a": b"1\n"},
        *("*** Update File: a", "@@", "-1", "+2"),
        *("*** Update File: a", "*** Move to: b", "@@", "-2", "+3"),
        *("*** Update File: b", "@@", "-3", "+4"),
    )
    assert outcome(made) == {"/w/a": None, "/w/b": b"4\n"}
    assert made.changes == {"/w/a": UpdatedFile("@@ -1 +1 @@\n-1\n+4\n", "/w/b")}


def test_a_file_may_be_added_and_updated_in_one_patch() -> None:
    made = plan({}, "*** Add File: a", "+x", "*** Update File: a", "@@", "-x", "+y")
    assert made.changes == {"/w/a": AddedFile("y\n")}
    assert made.summary == "Success. Updated the following files:\nA a\nM a\n"


def test_a_file_that_comes_and_goes_has_no_effect() -> None:
    made = plan({}, "*** Add File: a", "+x", "*** Delete File: a")
    assert (made.effects, made.changes, made.paths) == ((), {}, ("/w/a",))


def test_a_file_may_move_away_and_another_come_in_its_place() -> None:
    made = plan({"/w/a": b"1\n"}, "*** Update File: a", "*** Move to: b", "*** Add File: a", "+2")
    assert outcome(made) == {"/w/a": b"2\n", "/w/b": b"1\n"}
    assert made.changes == {"/w/a": UpdatedFile("@@ -1 +1 @@\n-1\n+2\n", None), "/w/b": AddedFile("1\n")}


def test_no_change_is_left_out_where_a_name_is_used_twice() -> None:
    made = plan(
        {"/w/a": b"1\n"},
        *("*** Update File: a", "*** Move to: b"),
        *("*** Add File: a", "+2"),
        *("*** Update File: a", "*** Move to: c"),
    )
    assert outcome(made) == {"/w/a": None, "/w/b": b"1\n", "/w/c": b"2\n"}
    assert made.changes == {"/w/a": UpdatedFile("", "/w/b"), "/w/c": AddedFile("2\n")}


def test_what_an_added_file_overwrites_is_shown() -> None:
    made = plan({"/w/a": b"1\n"}, "*** Add File: a", "+2")
    assert made.changes == {"/w/a": UpdatedFile("@@ -1 +1 @@\n-1\n+2\n", None)}
    assert made.summary.endswith("\nA a\n")


def test_what_a_moved_file_overwrites_is_shown() -> None:
    made = plan({"/w/a": b"1\n", "/w/b": b"2\n"}, "*** Update File: a", "*** Move to: b")
    assert made.changes == {"/w/a": DeletedFile("1\n"), "/w/b": UpdatedFile("@@ -1 +1 @@\n-2\n+1\n", None)}


def test_a_file_may_be_moved_onto_itself() -> None:
    made = plan({"/w/a": b"1\n"}, "*** Update File: a", "*** Move to: ./a", "@@", "-1", "+2")
    assert made.changes == {"/w/a": UpdatedFile("@@ -1 +1 @@\n-1\n+2\n", None)}


def test_a_change_that_changes_nothing_is_still_told() -> None:
    made = plan({"/w/a": b"1\n"}, "*** Update File: a", "@@", "-1", "+1")
    assert made.changes == {"/w/a": UpdatedFile("", None)}
    assert made.summary.endswith("\nM a\n")


def test_what_is_no_text_may_be_deleted_or_replaced_but_not_updated() -> None:
    files = {"/w/a": b"\xff"}
    assert plan(files, "*** Delete File: a").changes == {"/w/a": DeletedFile("\ufffd")}
    assert plan(files, "*** Add File: a", "+x").changes == {"/w/a": AddedFile("x\n")}
    with pytest.raises(PatchMismatchError, match=r"^Failed to read file to update /w/a: it is no UTF-8 text$"):
        plan(files, "*** Update File: a", "+x")


def test_two_names_of_one_file_are_one_file() -> None:
    made = plan(
        {"/w/a": b"1\n2\n"},
        *("*** Update File: l", "@@", "-1"),
        *("*** Update File: a", "@@", "-2", "+3"),
        links={"/w/l": "/w/a"},
    )
    assert outcome(made) == {"/w/a": b"3\n"}
    assert made.paths == ("/w/l", "/w/a")
    assert made.targets == ("/w/a",)


def test_a_symlink_is_removed_itself_and_followed_no_more() -> None:
    made = plan({"/w/a": b"1\n"}, "*** Delete File: l", "*** Add File: l", "+2", links={"/w/l": "/w/a"})
    assert outcome(made) == {"/w/l": b"2\n"}


def test_a_symlink_that_is_moved_takes_along_what_earlier_sections_made_of_its_file() -> None:
    made = plan(
        {"/w/a": b"1\n"},
        *("*** Update File: a", "@@", "-1", "+2"),
        *("*** Update File: l", "*** Move to: n"),
        links={"/w/l": "/w/a"},
    )
    assert outcome(made) == {"/w/a": b"2\n", "/w/l": None, "/w/n": b"2\n"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["*** Update File: no", "+x"], "Failed to read file to update /w/no: No such file or directory"),
        (["*** Delete File: no"], "Failed to delete file /w/no: No such file or directory"),
        (["*** Delete File: ."], "Failed to delete file /w: Is a directory"),
        (["*** Add File: .", "+x"], "Failed to write file /w: Is a directory"),
        (["*** Delete File: a", "*** Delete File: a"], "Failed to delete file /w/a: No such file or directory"),
        (["*** Update File: a", "@@", "-z"], "Failed to find expected lines in /w/a:\nz\n"),
        (["*** Add File: b", "+x", "*** Update File: a", "@@ z", "-z"], "Failed to find context 'z' in /w/a\n"),
    ],
)
def test_one_section_that_does_not_fit_refuses_the_patch(lines: list[str], message: str) -> None:
    with pytest.raises(PatchMismatchError, match=f"^{re.escape(message)}"):
        plan({"/w/a": b"1\n"}, *lines)


def test_a_directory_that_is_not_there_is_not_made_by_working_in_it() -> None:
    with pytest.raises(PatchMismatchError, match=r"^The working directory /x does not exist$"):
        plan_patch(parse_patch("*** Begin Patch\n*** Add File: a\n+x\n*** End Patch"), "/x", Files({}))


def test_the_example_that_the_model_is_shown_applies() -> None:
    shown = (Path(__file__).parents[3] / "config/texts/apply_patch.md").read_text()
    example = shown[shown.index("    *** Begin Patch") : shown.index("    *** End Patch")]
    greet = b'def greet(name):\n    """Say hello."""\n    print("Hi, " + name)\n    return name\n'
    made = plan_patch(
        parse_patch(dedent(example) + "*** End Patch"),
        "/w",
        Files({"/w/src/greet.py": greet, "/w/src/old_greet.py": b""}),
    )
    assert made.summary == (
        "Success. Updated the following files:\nA notes/todo.txt\nM src/greeting.py\nD src/old_greet.py\n"
    )
    assert outcome(made)["/w/notes/todo.txt"] == b"Try the new greeting.\n\nAsk Ada about the old one.\n"


NAMES = st.sampled_from(["a", "b", "c"])
SECTIONS = st.one_of(
    st.builds(lambda name, text: [f"*** Add File: {name}", f"+{text}"], NAMES, NAMES),
    st.builds(lambda name: [f"*** Delete File: {name}"], NAMES),
    st.builds(lambda name, text: [f"*** Update File: {name}", f"+{text}"], NAMES, NAMES),
    st.builds(lambda name, to: [f"*** Update File: {name}", f"*** Move to: {to}"], NAMES, NAMES),
)


@given(st.dictionaries(NAMES, st.sampled_from([b"", b"1\n", b"2"])), st.lists(SECTIONS, max_size=6))
def test_the_effects_are_what_carrying_out_the_sections_one_by_one_would_give(
    files: dict[str, bytes], sections: list[list[str]]
) -> None:
    names = {f"/w/{name}": content for name, content in files.items()}
    expected, one_by_one = dict(names), True
    for section in sections:
        try:
            changes = outcome(plan(expected, *section))
        except PatchError:
            one_by_one = False
            break
        expected = {path: content for path, content in (expected | changes).items() if content is not None}
    try:
        made = plan(names, *(line for section in sections for line in section))
    except PatchError:
        assert not one_by_one
        return
    assert one_by_one
    assert {path: content for path, content in (names | outcome(made)).items() if content is not None} == expected


@given(st.dictionaries(NAMES, st.sampled_from([b"", b"1\n", b"2"])), st.lists(SECTIONS, max_size=6))
def test_clients_are_told_of_every_effect(files: dict[str, bytes], sections: list[list[str]]) -> None:
    try:
        made = plan({f"/w/{n}": c for n, c in files.items()}, *(line for section in sections for line in section))
    except PatchError:
        return
    moved = {change.move_path for change in made.changes.values() if isinstance(change, UpdatedFile)}
    assert {effect.path for effect in made.effects} == set(made.changes) | moved - {None}
