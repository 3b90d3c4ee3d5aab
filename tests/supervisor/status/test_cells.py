"""What is printed takes the cells that it was given, and steers no terminal."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.protocol.display import clean, clean_lines
from greenroom.supervisor.cli.status.cells import clip, fill, width, wrap

TEXTS = st.text(st.characters() | st.sampled_from("漢字한글ﾊé́\u200d👩‍👧😀\u202e\x1b\x9b\n\t\r\x00")).map(clean)


@pytest.mark.parametrize(("text", "cells"), [("", 0), ("abc", 3), ("漢字", 4), ("é", 1), ("e\u0301", 1), ("😀", 2)])
def test_width(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b2J", "2J"),
        ("a\nb\r\n\tc", "a b c"),
        ("bell\x07, null\x00", "bell, null"),
        ("\u202eturned\u2066", "turned"),
        ("lone \udcff", "lone"),
        ("  edges  ", "edges"),
        ("漢字 é", "漢字 é"),
    ],
)
def test_what_steers_is_left_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters()))
@example("\x1b]0;title\x07")
def test_nothing_that_steers_is_left(text: str) -> None:
    for line in (clean(text), *clean_lines(text)):
        assert line.isprintable() or " " in line
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in line)
        line.encode()
    assert clean(clean(text)) == clean(text)


@given(TEXTS, st.integers(0, 40))
def test_a_clipped_text_fits(text: str, cells: int) -> None:
    cut = clip(text, cells)
    assert width(cut) <= cells
    assert cut == text or not cells or cut.endswith("…")


@given(TEXTS, st.integers(0, 40), st.booleans())
def test_a_filled_cell_is_as_wide_as_it_should_be(text: str, cells: int, right: bool) -> None:
    assert width(fill(text, cells, right=right)) == cells


def test_figures_stand_at_the_right() -> None:
    assert fill("7", 3, right=True) == "  7"
    assert fill("漢字", 3) == "漢…"
    assert fill("漢字", 4, right=True) == "漢字"


@given(TEXTS, st.integers(4, 40))
def test_a_wrapped_text_fits_and_loses_no_word_that_does(text: str, cells: int) -> None:
    lines = wrap(text, cells, "  ")
    assert all(width(line) <= cells for line in lines)
    if all(width(word) <= cells - 2 for word in text.split(" ")):
        assert " ".join(line.strip() for line in lines).split() == text.split()


def test_wrapping() -> None:
    assert wrap("! does not answer at all", 12, "  ") == ["! does not", "  answer at", "  all"]
    assert wrap("as long as it likes", None) == ["as long as it likes"]
