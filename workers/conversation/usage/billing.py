"""Exact arithmetic with the prices of `greenroom.config.tables.prices`. Loaded where there are any."""

from decimal import Context, Decimal, Inexact
from typing import Final, NamedTuple

from greenroom.config.tables.prices import PriceRow

_EXACT: Final = Context(prec=100, traps=[Inexact])
"""Digits enough for every sum; an inexact result would be an error."""
_MILLIONTH: Final = -6


class BilledTokens(NamedTuple):
    """Tokens by what they cost, of one or more responses of a model."""

    input: int
    """All of the input, including the two parts that follow."""
    cached_input: int
    cache_write_input: int
    output: int


def cost(tokens: BilledTokens, row: PriceRow) -> Decimal:
    """Return the exact price of some tokens in the currency of the row."""
    cached = min(tokens.cached_input, tokens.input)
    written = min(tokens.cache_write_input, tokens.input - cached)
    parts = (
        (tokens.input - cached - written, row.input),
        (cached, row.input if row.cached_input is None else row.cached_input),
        (written, row.input if row.cache_write_input is None else row.cache_write_input),
        (tokens.output, row.output),
    )
    total = Decimal(0)
    for count, price in parts:
        total = _EXACT.add(total, _EXACT.multiply(Decimal(count), Decimal(str(price))))
    return total.scaleb(_MILLIONTH, _EXACT)


def add(first: Decimal, second: Decimal) -> Decimal:
    """Return the exact sum."""
    return _EXACT.add(first, second)


def plain(amount: Decimal) -> str:
    """Return an amount without an exponent and without zeros at its end."""
    return format(amount.normalize(_EXACT), "f")
