"""The largest load that holds is found by few tries, and never one that was not seen to hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import Point, curve
from benchmarks.search import largest

CEILING = 1024


class Program:
    """Carries up to a limit, and notes what it was asked."""

    def __init__(self, limit: int, unlucky: frozenset[int] = frozenset()) -> None:
        self._limit = limit
        self._unlucky = set(unlucky)
        self.asked: list[int] = []

    def holds(self, number: int) -> bool:
        self.asked.append(number)
        if number in self._unlucky:
            self._unlucky.discard(number)
            return False
        return number <= self._limit


@given(limit=st.integers(0, 2 * CEILING), first=st.integers(1, 64), tolerance=st.floats(0.0, 0.5))
def test_what_is_found_holds_and_is_close_to_the_limit(limit: int, first: int, tolerance: float) -> None:
    program = Program(limit)
    found = largest(program.holds, first=first, ceiling=CEILING, tolerance=tolerance)
    true = min(limit, CEILING)
    assert found <= true <= found + max(1.0, tolerance * found)
    assert true <= found or tolerance > 0.0
    assert found == 0 or found in program.asked
    assert all(1 <= number <= CEILING for number in program.asked)
    assert len(program.asked) <= 40


@given(limit=st.integers(1, CEILING), unlucky=st.frozensets(st.integers(1, CEILING)))
def test_a_single_failure_changes_nothing(limit: int, unlucky: frozenset[int]) -> None:
    calm, disturbed = Program(limit), Program(limit, unlucky)
    found = [largest(program.holds, first=8, ceiling=CEILING, tolerance=0.1) for program in (calm, disturbed)]
    assert found[0] == found[1]


@pytest.mark.parametrize("allowed", [0, 1, 3, 5])
def test_it_ends_where_it_may_not_go_on(allowed: int) -> None:
    program = Program(700)
    found = largest(
        program.holds, first=8, ceiling=CEILING, tolerance=0.01, may_go_on=lambda: len(program.asked) < allowed
    )
    assert len(program.asked) == allowed
    assert found == (program.asked[-1] if program.asked else 0)


def test_a_number_that_was_tried_twice_has_one_point_on_the_curve() -> None:
    tries = [Point(8, 0.1, 0.01), Point(32, 0.5, 0.9), Point(32, 0.4, 0.2), Point(16, 0.2, 0.02)]
    assert curve(tries) == [tries[0], tries[3], tries[2]]
