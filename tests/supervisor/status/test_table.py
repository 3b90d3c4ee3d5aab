"""A table is never wider than its room, and what is most important is what is left of it."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.display import clean
from greenroom.supervisor.cli.status.cells import width
from greenroom.supervisor.cli.status.table import Column, lay_out

COLUMNS = (
    Column("NAME", 0),
    Column("AGE", 1, right=True),
    Column("DOING", 2, least=6),
    Column("NOTE", 3),
)
ROWS = (("one", "7s", "running the tests", ""), ("three", "12m", "", "x"))


def test_everything_is_shown_where_there_is_room() -> None:
    assert lay_out(COLUMNS, ROWS, None) == [
        "NAME   AGE  DOING              NOTE",
        "one     7s  running the tests",
        "three  12m                     x",
    ]


def test_a_column_gives_way_before_a_more_important_one_is_cut() -> None:
    assert lay_out(COLUMNS, ROWS, 30)[:2] == ["NAME   AGE  DOING", "one     7s  running the tests"]


def test_a_text_is_cut_before_its_column_is_left_out() -> None:
    assert lay_out(COLUMNS, ROWS, 22)[1] == "one     7s  running t…"
    assert lay_out(COLUMNS, ROWS, 12) == ["NAME   AGE", "one     7s", "three  12m"]
    assert lay_out(COLUMNS, ROWS, 6) == ["NAME", "one", "three"]


def test_what_must_stay_is_cut_at_last() -> None:
    assert lay_out(COLUMNS, ROWS, 3) == ["NA…", "one", "th…"]


def test_a_column_with_nothing_to_say_is_left_out() -> None:
    assert lay_out(COLUMNS, [("one", "", "", "")], None) == ["NAME", "one"]


def test_wide_characters_do_not_shift_what_follows() -> None:
    lines = lay_out(COLUMNS, [("漢字", "7s", "", "x"), ("abcd", "8s", "", "y")], None)
    assert [line.endswith(mark) for line, mark in zip(lines[1:], "xy", strict=True)] == [True, True]
    assert width(lines[1]) == width(lines[2])


def test_a_table_without_rows_has_its_titles() -> None:
    assert lay_out(COLUMNS, [], 80) == ["NAME"]


@given(
    st.lists(st.tuples(*(st.text(st.characters(), max_size=30).map(clean) for _ in COLUMNS)), max_size=5),
    st.integers(1, 90),
)
def test_no_line_is_wider_than_its_room(rows: list[tuple[str, ...]], room: int) -> None:
    lines = lay_out(COLUMNS, rows, room)
    assert len(lines) == len(rows) + 1
    assert all(width(line) <= room for line in lines)
