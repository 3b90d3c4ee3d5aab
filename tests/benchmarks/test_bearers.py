"""The time of every bearer is measured, and nothing of the measurement is left."""

from benchmarks import bearers


def test_each_question_is_timed() -> None:
    found = bearers.measure(workers=5, rounds=2)
    assert len(found.seconds) == 10
    assert 0 < min(found.seconds) <= max(found.seconds) < 10
    assert found.cpu_per_question >= 0
