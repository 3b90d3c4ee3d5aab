"""A stamp in a text tells how long its piece was on its way, however pieces are cut, joined and repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stamps import TICKS_PER_SECOND, Arrivals, Stamper

TICK = 1 / TICKS_PER_SECOND
WRAP = 2**32 / TICKS_PER_SECOND


@given(sent=st.floats(1.0, 3 * WRAP), delay=st.floats(0.0, 60.0))
def test_the_delay_is_told_to_the_tick_even_where_the_digits_wrap_around(sent: float, delay: float) -> None:
    arrivals = Arrivals()
    arrivals.read(Stamper().stamp(sent), sent + delay)
    (told,) = arrivals.delays
    assert told == pytest.approx(delay, abs=2 * TICK)


@given(st.lists(st.floats(1.0, 2.0), max_size=50))
def test_stamps_of_one_moment_are_different_and_no_delay_is_negative(times: list[float]) -> None:
    stamper, arrivals = Stamper(), Arrivals()
    arrivals.read(b" ".join(stamper.stamp(now) for now in times), 1.0)
    assert len(arrivals.delays) == len(times)
    assert min(arrivals.delays, default=0.0) >= 0.0


def test_only_the_first_copy_of_a_stamp_counts() -> None:
    stamp = Stamper().stamp(5.0)
    arrivals = Arrivals()
    arrivals.read(b'{"delta":"%b "}\n{"delta":"%b "}' % (stamp, stamp), 5.5)
    arrivals.read(b'{"text":"%b "}' % stamp, 9.0)
    assert arrivals.delays == [pytest.approx(0.5)]
