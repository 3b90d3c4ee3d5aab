"""Twenty conversations run while workers, nursery and broker are killed at random (`make soak` does it for minutes)."""

import argparse
import uuid

import pytest

from benchmarks.soak import soak
from tests.support import processes


def test_random_deaths_cost_a_call_each_at_most_and_leave_nothing(
    engine: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = uuid.uuid4().hex
    monkeypatch.setenv(processes.MARKER, run)
    count = 40 if engine == "fork" else 4
    options = argparse.Namespace(warm_up=2, conversations=count, kill_every=0.2, parked=0, engine=engine, seed=1)
    (stretch,) = soak(str(tmp_path_factory.mktemp("s")), options)
    assert stretch.faults() == []
    assert stretch.account.fates["succeeded"] >= count
    assert stretch.account.killed
    assert not processes.remaining(list(processes.marked(run)), 2.0)
