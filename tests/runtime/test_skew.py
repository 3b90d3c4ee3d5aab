"""A clock is called wrong only where a server's lies more than a minute apart (docs/security.md, K13)."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.skew import TOLERANCE, Skew

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("seen", "ahead"),
    [
        ([0.0], 0.0),
        ([59.0, -59.0], 0.0),
        ([600.0], 600.0),
        ([-600.0, -650.0], -600.0),
        ([600.0, 700.0], 700.0),
        ([600.0, 50.0], 0.0),
        ([600.0, -600.0], -600.0),
    ],
)
def test_what_answers_tell(seen: list[float], ahead: float) -> None:
    skew = Skew()
    for difference in seen:
        skew.observe(formatdate(NOW - difference, usegmt=True), NOW)
    assert skew.ahead == ahead


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 9999"])
def test_what_is_no_date_changes_nothing(date: str) -> None:
    skew = Skew(600.0)
    assert not skew.observe(date, NOW)
    assert skew.ahead == 600.0


@given(st.lists(st.floats(-1e6, 1e6), max_size=6))
def test_the_estimate_is_never_further_off_than_is_tolerated(seen: list[float]) -> None:
    skew = Skew()
    for difference in seen:
        before = skew.ahead
        assert skew.learn(difference) == (skew.ahead != before)
        assert abs(skew.ahead - difference) <= TOLERANCE
