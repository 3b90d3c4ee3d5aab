"""`python -m benchmarks`: measure, print the table, and write the page."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.calibration import Calibration
from benchmarks.client import SubjectError
from benchmarks.experiments import EXPERIMENTS, Experiment
from benchmarks.figures import FIGURES, KEYS, Figure
from benchmarks.machine import Machine
from benchmarks.merge import merged
from benchmarks.method import METHOD, NOTES
from benchmarks.model_process import ModelProcess, PacedModel
from benchmarks.participants import Participants
from benchmarks.picture import MARKDOWN, NAME, picture
from benchmarks.report import Row, missed, page, rows, table
from benchmarks.run import Run

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BY_NAME: Final = {experiment.measure.__name__: experiment for experiment in EXPERIMENTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 where something failed, or where a budget is missed and `--check` was given."""
    options = _parser().parse_args(arguments)
    wanted, experiments = _wanted(options)
    participants = _participants(options, experiments)
    machine, speed = Machine.look(), Calibration.take()
    with (
        tempfile.TemporaryDirectory(prefix="greenroom-bench-") as root,
        ModelProcess.start() as model,
        PacedModel.start() as paced,
    ):
        run = Run(participants.found, model, paced, root, quick=options.quick)
        try:
            run.prepare()
        except SubjectError as error:
            print(f"nothing was measured: {error}", file=sys.stderr)
            return 1
        for experiment in experiments:
            run.measure(experiment)
    measured = rows(wanted, run.samples)
    told = [*machine.lines(), *speed.lines(after=Calibration.take())]
    remarks = [*participants.remarks, *(f"Not measured: {reason}" for reason in run.unmeasured)]
    sections = {"Machine": told, "Programs": remarks, "Method": METHOD, "Notes": NOTES}
    _publish(options, measured, sections, run)
    if options.merge and not run.failures:
        _merge(options.output or PAGE, measured, sections, machine)
    return 1 if run.failures or (options.check and missed(measured)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets of the design.")
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions and short streams; leaves out what takes minutes"
    )
    parser.add_argument("--only", action="append", choices=KEYS, metavar="ROW", help=f"one of {', '.join(KEYS)}")
    names = ", ".join(BY_NAME)
    parser.add_argument(
        "--experiment", action="append", choices=BY_NAME, metavar="NAME", help=f"all rows of one of {names}"
    )
    parser.add_argument("--merge", action="store_true", help="put the measured rows into the page, which stays else")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    parser.add_argument("--output", type=Path, help="where the page goes; a whole run writes docs/benchmarks.md")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--no-reference", action="store_true", help="measure Greenroom alone")
    who.add_argument("--reference-only", action="store_true", help="measure the reference alone")
    return parser


def _wanted(options: argparse.Namespace) -> tuple[list[Figure], list[Experiment]]:
    """Return the figures that are wanted, all where none are named, and the experiments that measure them."""
    keys = set(options.only or ())
    for name in options.experiment or ():
        keys |= {figure.key for figure in FIGURES if figure.source in BY_NAME[name].figures}
    wanted = [figure for figure in FIGURES if not (options.only or options.experiment) or figure.key in keys]
    sources = {figure.source for figure in wanted} | {figure.key for figure in wanted}
    return wanted, [experiment for experiment in EXPERIMENTS if sources.intersection(experiment.figures)]


def _participants(options: argparse.Namespace, experiments: Sequence[Experiment]) -> Participants:
    participants = Participants(experiments)
    if not options.reference_only:
        participants.add_greenroom(on_all_interpreters=not options.quick)
    if options.no_reference:
        participants.remarks.append("The reference was left out on demand")
    else:
        participants.add_references()
    return participants


def _publish(
    options: argparse.Namespace, measured: Sequence[Row], sections: dict[str, Sequence[str]], run: Run
) -> None:
    print(table(measured))
    print("\n".join(sections["Machine"]))
    for failure in run.failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    partial = options.quick or options.only or options.experiment or options.reference_only or options.no_reference
    whole = not (partial or run.failures)
    output = None if options.merge else options.output or (PAGE if whole else None)
    if output is not None:
        drawn = picture(run.samples)
        if drawn:
            output.with_name(NAME).write_text(drawn, encoding="utf-8")
        output.write_text(page(measured, sections, MARKDOWN if drawn else ""), encoding="utf-8")


def _merge(output: Path, measured: Sequence[Row], sections: dict[str, Sequence[str]], machine: Machine) -> None:
    """Put rows into a page that is there."""
    when = f"{machine.date}, load before the run {machine.load:.2f}"
    text = merged(output.read_text(encoding="utf-8"), FIGURES, measured, sections, when)
    output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
