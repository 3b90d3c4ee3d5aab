"""One whole measurement: the programs alternate in each experiment, and the samples are collected."""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.app_experiments import app_first_turn
from benchmarks.client import SubjectError
from benchmarks.experiments import Experiment, first_turn
from benchmarks.model_process import ModelProcess, PacedModel
from benchmarks.stage import FULL, QUICK, Stage
from benchmarks.subject import Subject, write_config


@dataclass(slots=True)
class Run:
    """A measurement in progress."""

    subjects: Sequence[Subject]
    model: ModelProcess
    paced: PacedModel
    root: str
    """A directory for the homes of the programs."""
    quick: bool
    samples: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    """What the reference has failed at, first line only: it fails its number, and not the run."""

    def prepare(self) -> None:
        """Give each program a home with one start and one turn."""
        for subject in self.subjects:
            stage = self._stage(subject)
            write_config(stage.home, self.model.base_url)
            os.makedirs(stage.workspace)
            with stage.host():
                (app_first_turn if subject.speaks_app_server else first_turn)(stage)

    def measure(self, experiment: Experiment) -> None:
        """Repeat an experiment the required number of times with the programs that take part."""
        for number in range(experiment.quick_rounds if self.quick else experiment.rounds):
            for subject in self.subjects if number % 2 == 0 else reversed(self.subjects):
                if not experiment.takes(subject.name):
                    continue
                of_reference = not subject.is_greenroom
                if number < experiment.repetitions(of_reference=of_reference, quick=self.quick):
                    self._measure_once(experiment, subject, number + 1)

    def _measure_once(self, experiment: Experiment, subject: Subject, number: int) -> None:
        name = f"{experiment.measure.__name__} {number}, {subject.name}"
        try:
            measured = experiment.measure(self._stage(subject))
        except (SubjectError, LookupError) as error:
            if subject.is_greenroom:
                self.failures.append(f"{name}: {error}")
            else:
                self.unmeasured.append(f"{name}: {str(error).partition(chr(10))[0]}")
            _say(f"{name}: failed")
            return
        for key, values in measured.items():
            self.samples[key, subject.name].extend(values)
        _say(f"{name}: " + "; ".join(f"{key} {_brief(values)}" for key, values in measured.items()))

    def _stage(self, subject: Subject) -> Stage:
        place = os.path.join(self.root, subject.name)
        sizes = QUICK if self.quick else FULL
        home, workspace = os.path.join(place, "home"), os.path.join(place, "workspace")
        return Stage(subject, self.model, self.paced, home, workspace, sizes)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _brief(values: Sequence[float]) -> str:
    shown = " ".join(f"{value:.4g}" for value in values[:5])
    return f"{shown} …" if len(values) > 5 else shown
