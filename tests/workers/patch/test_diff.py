"""Unified hunks, as people and programs read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.diff import NO_NEWLINE, unified

SIX = "foo\nbar\nbaz\nqux\nquux\ncorge\n"


@pytest.mark.parametrize(
    ("old", "new", "hunks"),
    [
        ("hello\n", "hello world\n", "@@ -1 +1 @@\n-hello\n+hello world\n"),
        (SIX, SIX, ""),
        (
            SIX,
            SIX.replace("bar", "BAR").replace("quux", "QUUX"),
            "@@ -1,6 +1,6 @@\n foo\n-bar\n+BAR\n baz\n qux\n-quux\n+QUUX\n corge\n",
        ),
        (SIX, SIX.replace("foo", "FOO"), "@@ -1,2 +1,2 @@\n-foo\n+FOO\n bar\n"),
        (SIX, SIX.replace("corge", "CORGE"), "@@ -5,2 +5,2 @@\n quux\n-corge\n+CORGE\n"),
        (SIX, SIX + "more\n", "@@ -6 +6,2 @@\n corge\n+more\n"),
        (
            "1\n2\n3\n4\n5\n6\n7\n8\n",
            "1\n2\nx\n4\n5\n6\n8\n",
            "@@ -2,3 +2,3 @@\n 2\n-3\n+x\n 4\n@@ -6,3 +6,2 @@\n 6\n-7\n 8\n",
        ),
        ("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("a", "a\n", f"@@ -1 +1 @@\n-a\n{NO_NEWLINE}+a\n"),
        ("a\nb", "A\nb", f"@@ -1,2 +1,2 @@\n-a\n+A\n b\n{NO_NEWLINE}"),
        ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
    ],
)
def test_one_line_of_context_is_shown_around_each_change(old: str, new: str, hunks: str) -> None:
    assert unified(old, new, 1) == hunks


TEXTS = st.lists(st.sampled_from("abcd\r\u2028"), max_size=20).map("\n".join) | st.text("ab\n", max_size=20)


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_hunks_say_truly_what_they_hold(old: str, new: str, context: int) -> None:
    """The lines of each hunk are at the places that its header names, and as many as it says."""
    texts = {"-": old.split("\n"), "+": new.split("\n")}
    hunks = unified(old, new, context)
    assert bool(hunks) == (old != new)
    for hunk in hunks.removeprefix("@@ ").split("\n@@ ") if hunks else []:
        header, *lines = hunk.removesuffix("\n").split("\n")
        for mark, where in zip("-+", header.split(" ")[:2], strict=True):
            start, size = (int(number) for number in f"{where[1:]},1".split(",")[:2])
            shown = [line[1:] for line in lines if line[:1] in (" ", mark)]
            assert len(shown) == size
            assert not size or texts[mark][start - 1 : start - 1 + size] == shown
