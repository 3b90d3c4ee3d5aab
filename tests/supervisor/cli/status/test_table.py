"""A table is never wider than its room, and what is most important is what is left of it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len as width

from greenroom.protocol.display import clean
from greenroom.supervisor.cli.status.table import Column, clipped, lay_out, wrap

COLUMNS = (
    Column("NAME", 0),
    Column("AGE", 1, right=True),
    Column("DOING", 2, least=6),
    Column("NOTE", 3),
)
ROWS = (("one", "7s", "running the tests", ""), ("three", "12m", "", "x"))


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[str]:
    return [text.plain for text in lay_out(columns, rows, room)]


def test_everything_is_shown_where_there_is_room() -> None:
    assert plain(COLUMNS, ROWS, None) == [
        "NAME   AGE  DOING              NOTE",
        "one     7s  running the tests",
        "three  12m                     x",
    ]


def test_a_column_gives_way_before_a_more_important_one_is_cut() -> None:
    assert plain(COLUMNS, ROWS, 30)[:2] == ["NAME   AGE  DOING", "one     7s  running the tests"]


def test_a_text_is_cut_before_its_column_is_left_out() -> None:
    assert plain(COLUMNS, ROWS, 22)[1] == "one     7s  running t…"
    assert plain(COLUMNS, ROWS, 12) == ["NAME   AGE", "one     7s", "three  12m"]
    assert plain(COLUMNS, ROWS, 6) == ["NAME", "one", "three"]


def test_what_must_stay_is_cut_at_last() -> None:
    assert plain(COLUMNS, ROWS, 3) == ["NA…", "one", "th…"]


def test_a_column_with_nothing_to_say_is_left_out() -> None:
    assert plain(COLUMNS, [("one", "", "", "")], None) == ["NAME", "one"]


def test_wide_characters_do_not_shift_what_follows() -> None:
    lines = plain(COLUMNS, [("漢字", "7s", "", "x"), ("abcd", "8s", "", "y")], None)
    assert [line.endswith(mark) for line, mark in zip(lines[1:], "xy", strict=True)] == [True, True]
    assert width(lines[1]) == width(lines[2])


def test_a_table_without_rows_has_its_titles() -> None:
    assert plain(COLUMNS, [], 80) == ["NAME"]


@given(
    st.lists(st.tuples(*(st.text(st.characters(), max_size=30).map(clean) for _ in COLUMNS)), max_size=5),
    st.integers(1, 90),
)
def test_no_line_is_wider_than_its_room(rows: list[tuple[str, ...]], room: int) -> None:
    lines = plain(COLUMNS, rows, room)
    assert len(lines) == len(rows) + 1
    assert all(width(line) <= room for line in lines)


TEXTS = st.text(st.characters() | st.sampled_from("漢字한글ﾊé́\u200d👩‍👧😀\u202e\x1b\x9b\n\t\r\x00")).map(clean)


@pytest.mark.parametrize(("text", "cells"), [("", 0), ("abc", 3), ("漢字", 4), ("é", 1), ("e\u0301", 1), ("😀", 2)])
def test_width(text: str, cells: int) -> None:
    assert width(text) == cells


@given(TEXTS, st.integers(1, 40))
def test_a_line_fits_and_is_marked_where_it_is_cut(text: str, cells: int) -> None:
    cut = clipped(text, cells).plain
    assert width(cut) <= cells
    assert cut == text or cut.endswith("…")


@given(TEXTS, st.integers(4, 40))
def test_a_wrapped_text_fits_and_loses_nothing(text: str, cells: int) -> None:
    lines = [part.plain for part in wrap(text, cells)]
    assert all(width(part) <= cells for part in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    if all(width(word) <= cells - 2 for word in text.split(" ")):
        assert " ".join(part.strip() for part in lines).split() == text.split()


def test_wrapping() -> None:
    assert [part.plain for part in wrap("! does not answer at all", 12)] == ["! does not", "  answer at", "  all"]
    assert [part.plain for part in wrap("as long as it likes", None)] == ["as long as it likes"]
