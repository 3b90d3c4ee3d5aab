"""What a failure means: of Greenroom it fails the run, of the reference only its number, which the page then says."""

from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.client import SubjectError
from benchmarks.experiments import Experiment
from benchmarks.run import Run
from benchmarks.stage import Stage
from benchmarks.subject import Subject

GREENROOM = Subject("greenroom", ("greenroom",), {})
REFERENCE = Subject("reference", ("codex",), {})


@pytest.mark.parametrize("failing", ["greenroom", "reference", ""])
def test_only_a_failure_of_greenroom_fails_the_run(failing: str, tmp_path: Path) -> None:
    def measured(stage: Stage) -> dict[str, list[float]]:
        if stage.subject.name == failing:
            raise SubjectError("no answer in time\nand its log")
        return {"figure": [1.0]}

    unused = cast("Any", None)
    run = Run([GREENROOM, REFERENCE], unused, unused, str(tmp_path), quick=True)
    run.measure(Experiment(measured, ("figure",), rounds=1, quick_rounds=1))
    assert [bool(run.failures), bool(run.unmeasured)] == [failing == "greenroom", failing == "reference"]
    assert run.unmeasured in ([], ["measured 1, reference: no answer in time"])
    assert {name for _, name in run.samples} == {"greenroom", "reference"} - {failing}
