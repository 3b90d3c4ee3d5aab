"""Where lines are found in a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.matching import Searched


@pytest.mark.parametrize(
    ("lines", "pattern", "found"),
    [
        (["foo", "bar", "baz"], ["bar", "baz"], 1),
        (["foo   ", "bar\t"], ["foo", "bar"], 0),
        (["    foo   ", "  bar"], ["foo", "bar"], 0),
        (["a \u2013 b", "\u201cc\u201d\u00a0\u2018d\u2019"], ["a - b", "\"c\" 'd'"], 0),
        (["a - b"], ["a \u2014 b"], 0),
        (["one"], ["one", "two"], None),
        (["one", "three"], ["one", "two"], None),
        ([], ["one"], None),
        ([], [], 0),
    ],
)
def test_lines_are_found_past_blanks_dashes_and_quotes(lines: list[str], pattern: list[str], found: int | None) -> None:
    assert Searched(lines).find(pattern) == found


def test_an_exact_place_further_down_wins_over_a_like_one() -> None:
    assert Searched(["  x", "x "]).find(["x"]) == 1
    assert Searched(["  x", "x ", "x"]).find(["x"]) == 2


def test_the_search_begins_where_it_is_told_to() -> None:
    searched = Searched(["x", "y", "x", "y"])
    assert [searched.find(["x", "y"], start) for start in range(4)] == [0, 2, 2, None]


def test_at_the_end_is_nowhere_else() -> None:
    searched = Searched(["x", "y", "x", "y", "z"])
    assert searched.find(["x", "y"], 0, at_end=True) is None
    assert searched.find(["y", "z"], 0, at_end=True) == 3
    assert searched.find(["y", "z"], 4, at_end=True) is None


def test_nothing_is_found_at_once() -> None:
    assert Searched(["x"]).find([], 1) == 1


LINES = st.lists(st.sampled_from(["a", "b", " a", "a ", "\u2013", "-"]), max_size=12)
FORMS = (lambda line: line, str.rstrip, str.strip, lambda line: line.strip().replace("\u2013", "-"))


@given(LINES, LINES.filter(bool), st.integers(0, 12), st.booleans())
def test_the_index_finds_what_looking_at_every_place_finds(
    lines: list[str], pattern: list[str], start: int, at_end: bool
) -> None:
    last = len(lines) - len(pattern)
    places = range(max(start, last) if at_end else start, last + 1)
    expected = next(
        (
            place
            for form in FORMS
            for place in places
            if [form(line) for line in lines[place : place + len(pattern)]] == [form(line) for line in pattern]
        ),
        None,
    )
    assert Searched(lines).find(pattern, start, at_end) == expected
