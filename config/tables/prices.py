"""What models cost: the tables of `greenroom.prices`.

There are no built-in prices: they change, and differ between accounts. A user who wants to see costs sets the prices.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from greenroom.config.section import OwnSection

Price: TypeAlias = Annotated[float, Meta(ge=0.0)] | str
"""As a number or, digit by digit, as a string."""

_DIGITS: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class PriceRow(OwnSection, frozen=True):
    """A table of `greenroom.prices`: what a million tokens cost."""

    input: Price
    output: Price
    cached_input: Price | None = None
    """Input that the server had in its cache; as `input` if absent."""
    cache_write_input: Price | None = None
    """Input that the server put into its cache; as `input` if absent."""
    currency: str = "USD"
    """A code of ISO 4217."""

    def __post_init__(self) -> None:
        for price in (self.input, self.output, self.cached_input, self.cache_write_input):
            if price is not None and not _is_price(price):
                raise ValueError(f'{price!r} is no price, such as 1.25 or "1.25"')
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError(f"{self.currency!r} is no currency, such as USD")


def price_of(slug: str, prices: Mapping[str, PriceRow]) -> PriceRow | None:
    """Return the row of a model: that of its slug, or else of the longest name with which its slug begins."""
    name = max(filter(slug.startswith, prices), key=len, default=None)
    return None if name is None else prices[name]


def _is_price(price: float | str) -> bool:
    return bool(_DIGITS.fullmatch(price)) if isinstance(price, str) else math.isfinite(price)
