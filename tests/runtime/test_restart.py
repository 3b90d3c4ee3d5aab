"""Restart intensity as OTP means it: more than so many deaths in so many seconds, and the child is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.restart import Backoff, Delays, Intensity, RestartPolicy, by_chance
from greenroom.supervisor.processes import restart

THREE = Intensity(deaths=3, period=10.0, delays=(0.0, 1.0))
KNOWN = [value for value in vars(restart).values() if isinstance(value, Intensity)]

intensities = st.builds(
    Intensity,
    deaths=st.integers(1, 6),
    period=st.floats(0.5, 50),
    delays=st.lists(st.floats(0, 5), min_size=1, max_size=4).map(tuple),
)
times = st.lists(st.floats(0, 20), min_size=1, max_size=30).map(
    lambda gaps: [sum(gaps[: index + 1]) for index in range(len(gaps))]
)


def test_the_death_after_the_last_allowed_one_ends_it() -> None:
    policy = RestartPolicy(THREE)
    assert [policy.on_death(now) for now in (0.0, 1.0, 2.0, 3.0)] == [0.0, 1.0, 1.0, None]


def test_deaths_count_for_the_period_only() -> None:
    policy = RestartPolicy(THREE)
    for now in (0.0, 1.0, 2.0):
        assert policy.on_death(now) is not None
    assert policy.deaths_in_period(9.9) == 3
    assert policy.deaths_in_period(10.0) == 2
    assert policy.on_death(10.0) is not None, "the first one is forgotten"
    assert policy.on_death(10.5) is None
    assert policy.deaths_in_period(100.0) == 0


def test_a_child_that_dies_seldom_is_restarted_for_ever() -> None:
    policy = RestartPolicy(THREE)
    assert all(policy.on_death(now * 4.0) is not None for now in range(1000))


@given(intensities, times)
def test_it_is_given_up_exactly_when_too_many_deaths_fall_into_the_period(
    intensity: Intensity, deaths: list[float]
) -> None:
    policy = RestartPolicy(intensity)
    for index, now in enumerate(deaths):
        recent = sum(1 for death in deaths[: index + 1] if death > now - intensity.period)
        delay = policy.on_death(now)
        assert (delay is None) == (recent > intensity.deaths)
        if delay is not None:
            assert delay == intensity.delays[min(recent, len(intensity.delays)) - 1]
        assert policy.deaths_in_period(now) == recent


@pytest.mark.parametrize("intensity", KNOWN, ids=str)
def test_the_delays_of_our_own_grow_and_fit_into_the_period(intensity: Intensity) -> None:
    assert list(intensity.delays) == sorted(intensity.delays)
    assert len(intensity.delays) <= intensity.deaths
    assert sum(intensity.delays) < intensity.period, "else it could never be given up"


def test_two_children_are_judged_apart() -> None:
    one, other = RestartPolicy(THREE), RestartPolicy(THREE)
    for now in range(4):
        one.on_death(float(now))
    assert other.on_death(0.0) == 0.0


delays = st.builds(
    Delays,
    seconds=st.lists(st.floats(0, 20), min_size=1, max_size=6).map(lambda found: tuple(sorted(found))),
    healthy_after=st.floats(0.5, 50),
    jitter=st.floats(0, 1),
)


@given(delays, times, st.floats(0, 1, exclude_max=True))
def test_a_backoff_is_quick_at_first_slower_later_and_forgets_what_was_before_a_healthy_while(
    shape: Delays, deaths: list[float], chance: float
) -> None:
    policy = Backoff(shape, lambda: chance)
    in_a_row, well_at = 0, 0.0
    for now in deaths:
        in_a_row = 1 if now >= well_at else in_a_row + 1
        plain = shape.seconds[min(in_a_row, len(shape.seconds)) - 1]
        delay = policy.on_death(now)
        assert plain <= delay <= plain * (1 + shape.jitter)
        assert policy.deaths_in_period(now) == in_a_row
        well_at = now + delay + shape.healthy_after
        assert policy.deaths_in_period(well_at) == 0


@given(delays, st.integers(1, 50))
def test_the_delays_of_a_backoff_never_shrink_and_never_grow_beyond_the_last(shape: Delays, count: int) -> None:
    policy = Backoff(shape, lambda: 0.0)
    found = [policy.on_death(0.0) for _ in range(count)]
    assert found == sorted(found)
    assert max(found) <= shape.seconds[-1]


@pytest.mark.parametrize("shape", [value for value in vars(restart).values() if isinstance(value, Delays)], ids=str)
def test_the_delays_of_our_own_backoffs_begin_at_once_and_end_at_a_time_that_a_person_would_wait(shape: Delays) -> None:
    assert list(shape.seconds) == sorted(shape.seconds)
    assert shape.seconds[0] <= 0.1
    assert shape.seconds[-1] <= 15.0


def test_chance_is_a_part_of_one() -> None:
    assert all(0.0 <= by_chance() < 1.0 for _ in range(1000))
