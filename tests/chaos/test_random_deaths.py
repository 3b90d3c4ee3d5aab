"""Twenty conversations run while workers, fork server and broker are killed at random.

With `GREENROOM_SOAK=1` in the environment it goes on for a minute with each engine, with a server that is executed as
users do; `make soak` does more.
"""

import argparse
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

import pytest

from benchmarks.client import Client
from benchmarks.soak import soak
from tests.support import processes
from tests.support.server import MODULE, launch
from tests.support.stage import Stage
from tests.support.template import MARKER, SEEDED, Started, Template

pytestmark = pytest.mark.both_engines

IS_LONG: Final = os.environ.get("GREENROOM_SOAK") == "1"
WARM_UP: Final = {"fork": 100, "spawn": 20}
"""Conversations before the first look of the long run: memory that every server comes to take is then taken."""


def started_by(template: Template | None) -> Callable[[Client, Mapping[str, str]], "subprocess.Popen[bytes] | Started"]:
    """Return what starts the server of the soak as those of other tests are."""

    def start(client: Client, variables: Mapping[str, str]) -> "subprocess.Popen[bytes] | Started":
        (stdin, ours), (theirs, stdout) = os.pipe(), os.pipe()
        command = (*MODULE, *client.subject.command[1:])
        with open(client._log, "ab") as log, open(stdin, "rb"), open(stdout, "wb"):
            streams = (stdin, stdout, log.fileno())
            process = launch(command, {**variables, **SEEDED}, streams, template, client.workspace)
        vars(process).update(stdin=os.fdopen(ours, "wb", 0), stdout=os.fdopen(theirs, "rb", 0))
        return process

    return start


@pytest.mark.timeout(240 if IS_LONG else 60)
def test_random_deaths_cost_a_call_each_at_most_and_leave_nothing(
    stage: Stage, engine: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKER, stage.run)
    if not IS_LONG:
        monkeypatch.setattr(Client, "_start", started_by(stage.template))
    seconds, count = (60.0, 20) if IS_LONG else (0.0, 40 if engine == "fork" else 4)
    warm_up = WARM_UP[engine] if IS_LONG else 2
    play = {"deaths": count, "seconds": seconds, "conversations": 0, "parked": 0, "warm_up": warm_up}
    options = argparse.Namespace(**play, kill_every=0.2, engine=engine, seed=1)
    (stretch,) = soak(str(tmp_path_factory.mktemp("s")), options)
    assert stretch.faults() == []
    assert stretch.account.fates["succeeded"] >= count
    assert stretch.account.killed
    assert not processes.remaining(list(processes.marked(stage.run)), 2.0)
