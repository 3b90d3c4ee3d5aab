"""Refreshes come neither too often nor never (docs/security.md, K12, K25, K26)."""

import itertools
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.broker.refresh.rate_limit import HOUR, PER_HOUR, SPACING, RefreshBackoff, RefreshBudget, doubt_wait

FOREVER = float("inf")
times = st.floats(0, 1e6)


def test_backoff_doubles_up_to_a_minute() -> None:
    """K26."""
    backoff = RefreshBackoff(lambda low, high: (low + high) / 2)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.succeeded()
    assert backoff.failed() == 1


def test_a_server_s_wish_counts_where_it_is_longer() -> None:
    backoff = RefreshBackoff(lambda low, high: 1.0)
    assert backoff.failed(30.0) == 30.0
    assert backoff.failed(0.5) == 2.0
    assert backoff.failed(1e9) == 3600.0


@given(st.integers(0, 40), st.randoms(use_true_random=False))
def test_jitter_is_a_fifth_of_each_wait(failures: int, random: Random) -> None:
    """K26: so many brokers that were refused at once do not come back at once."""
    backoff = RefreshBackoff(random.uniform)
    for _ in range(failures):
        backoff.failed()
    plain = min(2.0**failures, 60.0)
    assert 0.8 * plain <= backoff.failed() <= 1.2 * plain


def test_jitter_is_drawn_anew_from_the_whole_range() -> None:
    """In a thousand draws of each wait the ends of the range are met within a hundredth of it."""
    draws = [[each.failed() for _ in range(3)] for each in (RefreshBackoff() for _ in range(1000))]
    for plain, waits in zip((1.0, 2.0, 4.0), zip(*draws, strict=True), strict=True):
        assert len(set(waits)) > 900
        assert min(waits) < 0.81 * plain
        assert max(waits) > 1.19 * plain


@given(st.lists(times, min_size=1, max_size=40), times, st.sampled_from([0.0, FOREVER]))
def test_never_more_than_six_in_an_hour(waits: list[float], start: float, usable_for: float) -> None:
    """K12, for any pattern of wishes: wait as told, then refresh."""
    budget, now, refreshed = RefreshBudget(), start, list[float]()
    for wish in waits:
        now += wish
        now += budget.wait("me", now, usable_for)
        assert budget.wait("me", now, usable_for) < 1e-6
        budget.spend("me", now)
        refreshed.append(now)
    for at in refreshed:
        assert sum(1 for other in refreshed if at <= other < at + HOUR - 1e-3) <= PER_HOUR
    if usable_for == FOREVER:
        assert all(later - earlier > SPACING - 1e-3 for earlier, later in itertools.pairwise(refreshed))


def test_an_unusable_token_does_not_wait_for_spacing() -> None:
    budget = RefreshBudget()
    budget.spend("me", 100.0)
    assert budget.wait("me", 101.0, 0.0) == 0.0
    assert budget.wait("me", 101.0, 5.0) == 5.0
    assert budget.wait("me", 101.0, FOREVER) == 29.0
    assert budget.wait("you", 101.0, FOREVER) == 0.0


@pytest.mark.parametrize(
    ("attempts", "usable_for", "wait"),
    [
        ((), 0.0, 0.0),
        ((1000.0,), 0.0, 2.0),
        ((1000.0,), FOREVER, 30.0),
        ((1000.0,), 10.0, 10.0),
        ((990.0,), 0.0, 0.0),
        ((960.0,), FOREVER, 0.0),
        ((399.0,), 0.0, 0.0),
        ((700.0, 998.0), 0.0, 300.0),
        ((100.0, 998.0), 0.0, 0.0),
        ((5000.0,), 0.0, 2.0),
    ],
)
def test_waits_in_doubt(attempts: tuple[float, ...], usable_for: float, wait: float) -> None:
    """K25, at 1000 s."""
    assert doubt_wait(attempts, 1000.0, usable_for) == wait


@given(st.lists(times, max_size=2), times, times)
@example([64937.0, 64937.0], 64936.53540217887, 0.0)
def test_at_most_two_in_ten_minutes(attempts: list[float], now: float, usable_for: float) -> None:
    wait = doubt_wait(attempts, now, usable_for)
    assert 0.0 <= wait <= 600.0
    at = now + wait
    assert sum(1 for attempt in attempts if 0 <= at - min(attempt, now) < 600.0 - 1e-3) <= 1
