"""It is a rush while more conversations begin than there are cores, and not for long after."""

import os
from collections import deque

import pytest

from greenroom.runtime import startup_load as rush
from greenroom.runtime.startup_load import LASTING, WINDOW


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of a machine with two cores on which nothing has begun yet."""
    clock = Clock()
    monkeypatch.setattr(rush, "time", clock)
    monkeypatch.setattr(rush, "_CORES", 2)
    monkeypatch.setattr(rush, "_specs", deque(maxlen=3))
    monkeypatch.setattr(rush, "_until", bytearray(8))
    return clock


def test_nothing_is_a_rush_before_anything_was_born(clock: Clock) -> None:
    assert not rush.is_on()


def test_as_many_births_as_cores_are_none(clock: Clock) -> None:
    rush.note_birth()
    rush.note_birth()
    assert not rush.is_on()


def test_more_births_than_cores_are_one_until_some_time_after_the_last(clock: Clock) -> None:
    for _ in range(3):
        rush.note_birth()
    assert rush.is_on()
    clock.now += LASTING * 0.9
    rush.note_birth()
    clock.now += LASTING * 0.9
    assert rush.is_on()
    clock.now += LASTING * 0.2
    assert not rush.is_on()


def test_births_with_time_between_them_are_none(clock: Clock) -> None:
    for _ in range(10):
        rush.note_birth()
        assert not rush.is_on()
        clock.now += WINDOW * 0.6


def test_children_see_it_though_it_began_after_they_were_born(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rush, "_CORES", 0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(rush.is_on())
    os.close(reader)
    monkeypatch.setattr(rush, "LASTING", 60.0)
    rush.note_birth()
    os.close(writer)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    finally:
        rush._until[:8] = bytes(8)
