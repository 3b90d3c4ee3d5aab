"""What a file becomes under the chunks of a patch."""

import re
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.errors import PatchError, PatchMismatchError
from greenroom.workers.patch.language import UpdateFile, parse_patch
from greenroom.workers.patch.revision import revise


def revised(text: str, *lines: str) -> str:
    patch = parse_patch("\n".join(["*** Begin Patch", "*** Update File: f", *lines, "*** End Patch"]))
    [section] = patch.sections
    assert isinstance(section, UpdateFile)
    return revise(text, section.chunks, "/w/f")


def test_lines_are_replaced_where_they_stand() -> None:
    assert revised("a\nb\nc\n", "@@", " a", "-b", "+B", " c") == "a\nB\nc\n"


def test_all_lines_may_go() -> None:
    assert revised("a\n", "@@", "-a") == ""


def test_a_chunk_without_changes_changes_nothing() -> None:
    assert revised("a\nb\n", "@@", " b") == "a\nb\n"


def test_chunks_follow_one_another() -> None:
    text = "a\nb\nc\nd\ne\nf\n"
    assert revised(text, "@@", " a", "-b", "+B", "@@", " c", " d", "-e", "+E", "@@", " f", "+g", "*** End of File") == (
        "a\nB\nc\nd\nE\nf\ng\n"
    )


def test_of_like_places_the_first_below_the_previous_chunk_is_taken() -> None:
    assert revised("x\nx\nx\n", "@@", "-x", "+1", "@@", "-x", "+2") == "1\n2\nx\n"


def test_a_header_chooses_among_like_places() -> None:
    assert revised("def f():\n  x\ndef g():\n  x\n", "@@ def g():", "-  x", "+  y") == "def f():\n  x\ndef g():\n  y\n"


def test_stacked_headers_are_looked_for_one_below_the_other() -> None:
    text = "class A:\n  def f():\n    x\nclass B:\n  def g():\n    x\n  def f():\n    x\n"
    assert revised(text, "@@ class B:", "@@   def f():", "-    x", "+    y") == text[: -len("x\n")] + "y\n"


def test_the_line_of_a_header_may_be_written_again_as_the_first_of_the_chunk() -> None:
    assert revised("def f():\n  x\n", "@@ def f():", " def f():", "-  x", "+  y") == "def f():\n  y\n"


def test_an_insertion_goes_below_its_header() -> None:
    assert revised("def f():\n  pass\n", "@@ def f():", "+  x") == "def f():\n  x\n  pass\n"
    assert revised("a\nb\nc\nd\n", "@@ a", "+1", "@@ c", "+2", "@@", "-d", "+D") == "a\n1\nb\nc\n2\nD\n"


def test_an_insertion_without_a_header_goes_to_the_end() -> None:
    assert revised("a\nb\n", "@@", "+c") == "a\nb\nc\n"
    assert revised("a\nb\n\n", "+c") == "a\nb\n\nc\n"
    assert revised("", "+c") == "c\n"


def test_an_insertion_with_the_end_of_file_mark_goes_to_the_end() -> None:
    assert revised("a\nb\n", "@@ a", "+c", "*** End of File") == "a\nb\nc\n"


def test_an_insertion_at_the_end_does_not_disturb_what_is_changed_above_it() -> None:
    assert revised("a\nb\nc\n", "+d", "@@", "-a", "+1", "+2", "@@", "-c") == "1\n2\nb\nd\n"


def test_the_end_of_file_mark_chooses_the_last_place() -> None:
    assert revised("x\ny\nx\n", "@@", "-x", "+z", "*** End of File") == "x\ny\nz\n"


def test_ascii_finds_typographic_lines() -> None:
    text = "import a  # \u2013 avoids top\u2011level dependency\n"
    assert revised(text, "@@", "-import a  # - avoids top-level dependency", "+import b") == "import b\n"


def test_a_kept_line_stays_as_the_file_has_it() -> None:
    assert revised("a \u2013  \nb\n", "@@", " a -", "-b", "+c") == "a \u2013  \nc\n"


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_lines_at_the_end_of_a_chunk_need_not_be_in_the_file(blank: str) -> None:
    assert revised("a\nb\n", "@@", "-a", "+A", blank, blank) == "A\nb\n"
    assert revised("a\nb\n", "@@ a", "+x", blank) == "a\nx\nb\n"


def test_the_empty_line_that_seems_to_follow_the_last_newline_may_be_named() -> None:
    assert revised("a\n", "@@", " a", " ", "+b") == "a\n\nb\n"
    assert revised("a\n", "@@", "-a", "-", "+b") == "b\n"
    assert revised("", "@@", "-", "+b") == "b\n"


def test_a_blank_line_that_is_removed_elsewhere_has_to_be_there() -> None:
    with pytest.raises(PatchMismatchError):
        revised("a\nb\n", "@@", "-a", "-", "+x")
    with pytest.raises(PatchMismatchError):
        revised("a\nb\n", "@@", "-", "+x")


def test_trailing_blank_lines_stay() -> None:
    assert revised("a\nb\n\n\n", "@@", "-a", "+A") == "A\nb\n\n\n"


def test_a_missing_final_newline_stays_missing_until_the_patch_writes_the_last_line() -> None:
    assert revised("a\nb", "@@", "-a", "+A") == "A\nb"
    assert revised("a\nb", "@@", "-a", "+A", " b") == "A\nb"
    assert revised("a\nb", "@@", "-b", "+B") == "a\nB\n"
    assert revised("a\nb", "@@", " b", "+c") == "a\nb\nc\n"
    assert revised("a\nb", "+c") == "a\nb\nc\n"
    assert revised("a\nb", "@@", "-b") == "a\n"


def test_a_file_with_carriage_returns_keeps_them_and_new_lines_have_them() -> None:
    assert revised("x\r\ny\r\n", "@@", "-x", "+X") == "X\r\ny\r\n"
    assert revised("x\r\ny\r\n", "+z") == "x\r\ny\r\nz\r\n"
    assert revised("x\r\ny", "+z") == "x\r\ny\r\nz\r\n"


def test_in_a_file_with_mixed_endings_a_new_line_is_like_the_one_above() -> None:
    assert revised("a\nb\r\nc\n", "@@ a", "+1", "@@ b", "+2", "@@ c", "+3") == "a\n1\nb\r\n2\r\nc\n3\n"


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert revised("\ufeffa\nb\n", "@@", "-a", "+A") == "\ufeffA\nb\n"


@pytest.mark.parametrize(
    ("text", "lines", "message"),
    [
        (
            "a\nb\n",
            ["@@", "-a", "-c"],
            "Failed to find expected lines in /w/f:\na\nc\n(no line of the file is like 'c'; see line 3 of the patch)",
        ),
        (
            "a\nb\n",
            ["@@", "-b", "-a"],
            "Failed to find expected lines in /w/f:\nb\na\n"
            "(the file has each of them, but not all together in this order; see line 3 of the patch)",
        ),
        (
            "a\nb\nc\n",
            ["@@", "-c", "@@", "-a"],
            "Failed to find expected lines in /w/f:\na\n"
            "(it is at line 1 of the file, but the search began at line 4: chunks have to follow the order of the "
            "file, and a header is followed by lines below it; see line 5 of the patch)",
        ),
        (
            "a\nb\n",
            ["@@", "-a", "*** End of File"],
            "Failed to find expected lines in /w/f:\na\n"
            "(they begin at line 1 of the file, but do not end it; see line 3 of the patch)",
        ),
        (
            "a\n",
            ["@@ z", "-a"],
            "Failed to find context 'z' in /w/f\n(no line of the file is like it; see line 3 of the patch)",
        ),
        (
            "class Foo(Bar):\n  x\n",
            ["@@ class Foo", "-  x"],
            "Failed to find context 'class Foo' in /w/f\n"
            "(line 1 of the file contains it, but a header has to be a whole line: 'class Foo(Bar):'; "
            "see line 3 of the patch)",
        ),
        (
            "a\n",
            ["@@ -1,2 +1,3 @@", "-a"],
            "Failed to find context '-1,2 +1,3 @@' in /w/f\n"
            "(line numbers mean nothing here: write '@@' alone, or '@@ ' and a whole line of the file; "
            "see line 3 of the patch)",
        ),
    ],
)
def test_a_chunk_that_does_not_fit_is_explained(text: str, lines: list[str], message: str) -> None:
    with pytest.raises(PatchMismatchError, match=f"^{re.escape(message)}$"):
        revised(text, *lines)


def _line(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=3)


TEXTUAL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=6)
ANY_LINES = st.lists(TEXTUAL | _line("ab \t"), max_size=12)
DISTINCT_LINES = st.lists(st.integers(0, 40).map(str), unique=True, max_size=24)


def _chunks(old: list[str], new: list[str], context: int) -> list[str]:
    """Write the difference as chunks with a given number of kept lines around."""
    written: list[str] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context):
        written.append("@@")
        for kind, i, i_end, j, j_end in group:
            if kind == "equal":
                written += [" " + line for line in old[i:i_end]]
            else:
                written += ["-" + line for line in old[i:i_end]] + ["+" + line for line in new[j:j_end]]
    return written


def _text(lines: list[str], ending: str = "\n") -> str:
    return "".join(line + ending for line in lines)


@given(ANY_LINES, ANY_LINES, st.sampled_from(["\n", "\r\n"]))
def test_a_patch_of_the_whole_file_makes_the_new_of_the_old(old: list[str], new: list[str], ending: str) -> None:
    ending = ending if old else "\n"
    chunks = ["@@", *_chunks(old, new, 1000)[1:]] if old != new else ["@@", *(" " + line for line in old)]
    if len(chunks) > 1:
        assert revised(_text(old, ending), *chunks) == _text(new, ending)


@given(DISTINCT_LINES, DISTINCT_LINES, st.integers(1, 3))
def test_a_patch_with_little_context_makes_the_new_of_the_old(old: list[str], new: list[str], context: int) -> None:
    if old and old != new:
        assert revised(_text(old), *_chunks(old, new, context)) == _text(new)


@given(DISTINCT_LINES.filter(bool), st.data())
def test_what_a_patch_does_not_name_stays_byte_for_byte(lines: list[str], data: st.DataObject) -> None:
    endings = data.draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(lines), max_size=len(lines)))
    raw = [line + ending for line, ending in zip(lines, endings, strict=True)]
    raw[-1] = raw[-1] if data.draw(st.booleans()) else lines[-1]
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = revised("".join(raw), "@@", "-" + lines[at], "+new")
    above, below = "".join(raw[:at]), "".join(raw[at + 1 :])
    assert changed.startswith(above + "new")
    assert changed.endswith(below)
    assert changed[len(above) : len(changed) - len(below)] in {"new\n", "new\r\n"}


CHUNK_LINES = st.sampled_from(["@@", "@@ a", "@@ b", " a", "-a", "+a", "-", " ", "", "+b", " b"])


@given(ANY_LINES, st.lists(CHUNK_LINES, min_size=1))
def test_whatever_the_chunks_they_apply_or_are_refused(old: list[str], lines: list[str]) -> None:
    try:
        new = revised(_text(old), *lines)
    except PatchError:
        return
    added, removed = (sum(line.startswith(mark) for line in lines) for mark in "+-")
    blank = sum(line in {"-", " ", ""} for line in lines)
    # A blank line that the patch removes, or keeps above an addition, may be the one behind the last newline.
    assert abs(len(new.split("\n")) - 1 - (len(old) + added - removed)) <= blank
