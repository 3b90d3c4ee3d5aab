"""Which processor cores the measured program may use, so that machines of any size measure the same."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager


def split(available: Collection[int], count: int) -> tuple[set[int], set[int]]:
    """Return the cores for the measured program, and those for all others: the same where there are no more."""
    ordered = sorted(available)
    measured, others = set(ordered[:count]), set(ordered[count:])
    return measured, others or measured


@contextmanager
def given(cores: Collection[int]) -> Iterator[None]:
    """Let what is started here use these cores alone; all that this process may use where none are named."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def confined(count: int, *others: int) -> Iterator[set[int]]:
    """Keep this process and `others` off the cores of the measured program, which are what is provided."""
    before = os.sched_getaffinity(0)
    measured, rest = split(before, count)
    pids = (0, *others)
    try:
        for pid in pids:
            os.sched_setaffinity(pid, rest)
        yield measured
    finally:
        for pid in pids:
            os.sched_setaffinity(pid, before)
