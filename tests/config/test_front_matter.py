"""Front matter is read as people write it, and what cannot be read is named."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.front_matter import FrontMatter, FrontMatterError, read_front_matter


@pytest.mark.parametrize(
    ("lines", "entries"),
    [
        ("name: a", {"name": "a"}),
        ("name: a # comment\n# name: b\nother: x#y", {"name": "a", "other": "x#y"}),
        ("name: a: b", {"name": "a: b"}),
        ("name: 'it''s'\nb: \"a \\\"q\\\" # b\" # c", {"name": "it's", "b": 'a "q" # b'}),
        ("name: one\n  two\nb: x", {"name": "one two", "b": "x"}),
        ("name:\n  one\n  two", {"name": "one two"}),
        ("name: |\n  one\n    two\n\n  three\nb: x", {"name": "one\n  two\n\nthree", "b": "x"}),
        ("name: >-\n  one\n  two\n\n  three", {"name": "one two\nthree"}),
        ("m:\n  short-text: s\n  other: 'o'\nb: x", {"m.short-text": "s", "m.other": "o", "b": "x"}),
        ("name:\nb: x", {"name": "", "b": "x"}),
        ("name: a\nname: b", {"name": "b"}),
        ("12: x\n- y\nb: x", {"b": "x"}),
        ("", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_entries_are_read(lines: str, entries: dict[str, str], end: str) -> None:
    text = f"---\n{lines}\n---\nbody\n".replace("\n", end)
    assert read_front_matter(text) == FrontMatter(entries, f"body{end}")


@pytest.mark.parametrize("text", ["", "body", "---\nname: a\n", "\n---\nname: a\n---\n", "--- x\n---\n"])
def test_a_file_without_front_matter_is_told(text: str) -> None:
    with pytest.raises(FrontMatterError, match="does not begin with front matter"):
        read_front_matter(text)


@pytest.mark.parametrize("value", ["[a]", "{a: b}", "&x y", "*x", "'open", '"open', "'a' b", "- a"])
def test_a_value_that_is_no_text_is_told_with_its_key(value: str) -> None:
    with pytest.raises(FrontMatterError, match="`name`"):
        read_front_matter(f"---\nname: {value}\n---\n")


@given(st.text())
def test_any_text_is_read_or_rejected(text: str) -> None:
    for whole in (text, f"---\n{text}\n---\n"):
        with contextlib.suppress(FrontMatterError):
            front = read_front_matter(whole)
            assert whole.endswith(front.body)
            assert all(key.rpartition(".")[2] in whole for key in front.entries)
