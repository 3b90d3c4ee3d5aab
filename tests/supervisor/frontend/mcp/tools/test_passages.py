"""Reading page by page returns every passage once, in order, and never more than fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.errors import ConfigError
from greenroom.sessions.records.passage import Passage
from greenroom.supervisor.frontend.mcp.tools.passages import MAX_PAGE, MAX_PASSAGE, Cursor, last_page, next_page

SIZES = st.lists(st.integers(0, MAX_PASSAGE * 3), max_size=80)


def told(sizes: list[int]) -> list[tuple[int, Passage]]:
    return [(number, Passage("agent", "x" * size)) for number, size in enumerate(sizes, 1)]


def size(page: list[tuple[int, Passage]]) -> int:
    return sum(min(len(passage.text), MAX_PASSAGE) for _, passage in page)


@given(SIZES, st.integers(1, 50))
def test_pages_follow_each_other_without_gap_or_repetition(sizes: list[int], most: int) -> None:
    conversation, begin = told(sizes), 0
    read: list[tuple[int, Passage]] = []
    while (page := next_page(conversation, begin, most)).told:
        assert len(page.told) <= most
        assert size(list(page.told)) <= MAX_PAGE
        read += page.told
        begin = page.end
    assert read == conversation


@given(SIZES, st.integers(1, 50))
def test_the_last_page_is_the_end_and_as_long_as_fits(sizes: list[int], most: int) -> None:
    conversation = told(sizes)
    page = last_page(conversation, most)
    assert list(page.told) == conversation[page.begin :]
    assert page.end == len(conversation)
    assert size(list(page.told)) <= MAX_PAGE
    longer = conversation[page.begin - 1 :] if page.begin else []
    assert not longer or len(longer) > most or size(longer) > MAX_PAGE


@given(SIZES, st.integers(0, 10**6))
def test_a_place_behind_the_end_is_the_end(sizes: list[int], beyond: int) -> None:
    conversation = told(sizes)
    assert next_page(conversation, len(sizes) + beyond, 5) == ([], len(sizes))


@given(st.integers(0, 10**12 - 1), st.integers(0, 2**64 - 1))
def test_a_cursor_is_read_back_as_it_was_written(passages: int, questions: int) -> None:
    assert Cursor.parse(str(Cursor(passages, questions))) == (passages, questions)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except ConfigError:
        return
    assert str(cursor).lstrip("0") == text.lstrip("0") or int(text.partition(".")[0]) == cursor.passages


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "-1.0", "1.0\n", "1.2.3", "\u0661.0x"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown cursor"):
        Cursor.parse(text)
