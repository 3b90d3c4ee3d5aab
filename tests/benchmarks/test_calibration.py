"""A calibration says how long fixed work takes, and how much longer it takes later."""

from benchmarks.calibration import Calibration
from benchmarks.cores import split


def test_every_work_has_a_cost_and_a_unit() -> None:
    found = Calibration.take()
    assert min(found.python, found.memory, found.calls, found.wakes) > 0.0
    lines = found.lines()
    assert len(lines) == 4
    assert all(line.startswith("Calibration, ") for line in lines)


def test_a_second_look_stands_beside_the_first() -> None:
    before, after = Calibration(0.05, 0.02, 0.02, 0.02), Calibration(0.1, 0.02, 0.02, 0.02)
    lines = before.lines(after)
    assert lines[0].endswith("50.0 ms of CPU; 100.0 ms of CPU after the run")
    assert lines[2].endswith("1.00 µs of CPU; 1.00 µs of CPU after the run")


def test_the_measured_program_has_its_cores_alone_where_there_are_enough() -> None:
    assert split({0, 1, 2, 3}, 2) == ({0, 1}, {2, 3})
    assert split({4, 7}, 2) == ({4, 7}, {4, 7})
    assert split({3}, 2) == ({3}, {3})
