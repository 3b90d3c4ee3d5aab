"""Twenty conversations run while workers, fork server and broker are killed at random.

With `GREENROOM_SOAK=1` in the environment it goes on for a minute with each engine; `make soak` does more.
"""

import argparse
import os
import uuid
from typing import Final

import pytest

from benchmarks.soak import soak
from tests.support import processes
from tests.support.template import MARKER

pytestmark = pytest.mark.both_engines

IS_LONG: Final = os.environ.get("GREENROOM_SOAK") == "1"
WARM_UP: Final = {"fork": 100, "spawn": 20}
"""Conversations before the first look of the long run: memory that every server comes to take is then taken."""


@pytest.mark.timeout(240 if IS_LONG else 60)
def test_random_deaths_cost_a_call_each_at_most_and_leave_nothing(
    engine: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = uuid.uuid4().hex
    monkeypatch.setenv(MARKER, run)
    seconds, count = (60.0, 20) if IS_LONG else (0.0, 40 if engine == "fork" else 4)
    warm_up = WARM_UP[engine] if IS_LONG else 2
    play = {"deaths": count, "seconds": seconds, "conversations": 0, "parked": 0, "warm_up": warm_up}
    options = argparse.Namespace(**play, kill_every=0.2, engine=engine, seed=1)
    (stretch,) = soak(str(tmp_path_factory.mktemp("s")), options)
    assert stretch.faults() == []
    assert stretch.account.fates["succeeded"] >= count
    assert stretch.account.killed
    assert not processes.remaining(list(processes.marked(run)), 2.0)
