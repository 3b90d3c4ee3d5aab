"""The search for the largest load that is carried. Free of I/O."""

from collections.abc import Callable


def largest(
    holds: Callable[[int], bool],
    *,
    first: int,
    ceiling: int,
    tolerance: float,
    may_go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Return the largest number found to hold, 0 where none was; double from `first`, then bisect.

    The search ends where what is known to hold and what is known not to are apart by no more than the share
    `tolerance` of the former, where the ceiling holds, or where it may not go on. A number that does not hold is tried
    once more, because a single failure may be the machine's.
    """

    def tried(number: int) -> bool:
        return holds(number) or (may_go_on() and holds(number))

    good, bad, number = 0, ceiling + 1, min(first, ceiling)
    while bad - good > max(1.0, tolerance * good) and may_go_on():
        if tried(number):
            good = number
        else:
            bad = number
        number = min(2 * good, ceiling) if bad > ceiling else (good + bad) // 2
    return good
