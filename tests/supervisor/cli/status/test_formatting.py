"""Figures are short enough for a table and say what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.cli.status.formatting import age, amount, counted, short_id, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.9, "0s"),
        (59.99, "59s"),
        (60, "1m00s"),
        (200, "3m20s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (7500, "2h05m"),
        (86_400, "1d00h"),
        (1_000_000, "11d13h"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1023, "1023"), (1024, "1.0k"), (10_188, "9.9k"), (10_240, "10k"), (31 << 20, "31M"), (5 << 30, "5.0G")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("count", "text"), [(999, "999"), (1000, "1.0k"), (12_345, "12k"), (1_230_000, "1.2M")])
def test_amounts(count: int, text: str) -> None:
    assert amount(count) == text


@given(st.floats(0, 86_400 * 999))
def test_an_age_fits_into_six_cells(seconds: float) -> None:
    assert len(age(seconds)) <= 7


@given(st.integers(0, 2**49))
def test_a_size_fits_into_five_cells(count: int) -> None:
    assert len(size(count)) <= 5


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(count, "call") for count in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
    assert counted(2, "child", "children") == "2 children"


def test_short_ids_differ_where_ids_do() -> None:
    """Ids begin with their time, so that those of one moment begin alike."""
    assert short_id("01a20312-0577-77d3-9bb9-ad78bbf82560") == "ad78bbf82560"
