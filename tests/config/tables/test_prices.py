"""Prices are read as they are written, and belong to the models whose slugs begin like them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.section import check
from greenroom.config.tables.prices import PriceRow, price_of
from greenroom.protocol.errors import ConfigError

ROW = {"input": 1.25, "output": "10.00"}


def row(**members: object) -> PriceRow:
    return check(PriceRow, {**ROW, **members}, ("greenroom", "prices", "m"))


def test_numbers_and_digits_are_prices_and_what_is_not_said_has_a_default() -> None:
    assert row() == PriceRow(1.25, "10.00", None, None, "USD")
    assert row(cached_input=0, currency="EUR", cache_write_input="0.5") == PriceRow(1.25, "10.00", 0.0, "0.5", "EUR")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"input": -1}, "expected at least 0"),
        ({"input": float("nan")}, "input"),
        ({"input": float("inf")}, "is no price"),
        ({"output": "1e3"}, "is no price"),
        ({"output": "-1"}, "is no price"),
        ({"output": ""}, "is no price"),
        ({"output": "1" * 16}, "is no price"),
        ({"output": "1\n"}, "is no price"),
        ({"cached_input": True}, "cached_input"),
        ({"currency": "usd"}, "is no currency"),
        ({"currency": "DOLLAR"}, "is no currency"),
        ({"outputs": 1}, "unknown"),
    ],
)
def test_what_is_no_price_is_refused_in_words(members: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        row(**members)


def test_what_has_to_be_said_is_missed() -> None:
    with pytest.raises(ConfigError, match="missing field `output`"):
        check(PriceRow, {"input": 1}, ("greenroom",))


NAMES = st.text("ab-", max_size=6)


@given(NAMES, st.lists(NAMES, unique=True))
def test_the_longest_name_with_which_a_slug_begins_counts(slug: str, names: list[str]) -> None:
    prices = {name: PriceRow(float(number), 0.0) for number, name in enumerate(names)}
    found = price_of(slug, prices)
    fitting = sorted((name for name in names if slug.startswith(name)), key=len)
    assert found is (prices[fitting[-1]] if fitting else None)
