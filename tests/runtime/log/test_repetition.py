"""What repeats itself is left out and counted, and nothing else is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.log.repetition import MOST_KEYS, RepetitionLimit

PERIOD = 10.0


def test_the_first_pass_and_the_rest_is_told_later() -> None:
    limit: RepetitionLimit[str] = RepetitionLimit(2, PERIOD)
    assert [limit.admit("a", 0.0) for _ in range(5)] == [0, 0, None, None, None]
    assert limit.admit("b", 1.0) == 0
    assert limit.admit("a", 9.9) is None
    assert limit.admit("a", 10.0) == 4
    assert list(limit.ended(11.0)) == []
    assert list(limit.ended(12.0)) == []


def test_a_period_that_is_over_is_told_by_itself() -> None:
    limit: RepetitionLimit[str] = RepetitionLimit(1, PERIOD)
    for _ in range(4):
        limit.admit("a", 0.0)
    limit.admit("b", 5.0)
    assert list(limit.ended(9.9)) == []
    assert list(limit.ended(10.0)) == [("a", 3)]
    assert list(limit.ended(99.0)) == []


def test_memory_is_bounded() -> None:
    limit: RepetitionLimit[int] = RepetitionLimit(1, PERIOD)
    for key in range(10 * MOST_KEYS):
        limit.admit(key, 0.0)
    assert len(limit._periods) == MOST_KEYS


events = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 4.0)), max_size=60)


@given(events, st.integers(1, 4))
def test_every_record_passes_or_is_counted_once(given_events: list[tuple[str, float]], most: int) -> None:
    """Oracle: a count of all records, of those that passed and of those that were told as left out."""
    limit: RepetitionLimit[str] = RepetitionLimit(most, PERIOD)
    now, all_of, accounted = 0.0, Counter[str](), Counter[str]()
    passed_at: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for key, pause in given_events:
        now += pause
        all_of[key] += 1
        left_out = limit.admit(key, now)
        if left_out is not None:
            accounted[key] += 1 + left_out
            passed_at[key].append(now)
        for ended, count in limit.ended(now):
            accounted[ended] += count
    for ended, count in limit.ended(now + PERIOD):
        accounted[ended] += count
    assert accounted == all_of
    for times in passed_at.values():
        assert all(len([one for one in times if at <= one < at + PERIOD]) <= 2 * most for at in times)
