"""`python -m benchmarks`: measure, print the table, and write the page."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.calibration import Calibration
from benchmarks.client import ContestantError
from benchmarks.contestant import LAUNCHED, Contestant, greenroom, reference
from benchmarks.experiments import EXPERIMENTS
from benchmarks.figures import FIGURES, KEYS
from benchmarks.interpreters import Uninstalled, others
from benchmarks.machine import Machine
from benchmarks.method import METHOD, NOTES
from benchmarks.model_process import ModelProcess
from benchmarks.paced_process import PacedModel
from benchmarks.picture import MARKDOWN, NAME, picture
from benchmarks.reference_program import VARIABLE, VERSION, Missing, ensure_reference
from benchmarks.report import Row, missed, page, rows, table
from benchmarks.run import Run

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 where something failed, or where a budget is missed and `--check` was given."""
    options = _parser().parse_args(arguments)
    contestants, remarks = _contestants(options)
    wanted = [figure for figure in FIGURES if not options.only or figure.key in options.only]
    wanted_keys = {figure.measured_as or figure.key for figure in wanted} | {figure.key for figure in wanted}
    machine, speed = Machine.look(), Calibration.take()
    with (
        tempfile.TemporaryDirectory(prefix="greenroom-bench-") as root,
        ModelProcess.start() as model,
        PacedModel.start() as paced,
    ):
        run = Run(contestants, model, paced, root, quick=options.quick)
        try:
            run.prepare()
        except ContestantError as error:
            print(f"nothing was measured: {error}", file=sys.stderr)
            return 1
        for experiment in EXPERIMENTS:
            if wanted_keys.intersection(experiment.figures):
                run.measure(experiment)
    measured = rows(wanted, run.samples)
    told = [*machine.lines(), *speed.lines(after=Calibration.take())]
    remarks += [f"Not measured: {reason}" for reason in run.unmeasured]
    sections = {"Machine": told, "Programs": remarks, "Method": METHOD, "Notes": NOTES}
    _publish(options, measured, sections, run)
    return 1 if run.failures or (options.check and missed(measured)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets of the design.")
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions and short streams; leaves out what takes minutes"
    )
    parser.add_argument("--only", action="append", choices=KEYS, metavar="ROW", help=f"one of {', '.join(KEYS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    parser.add_argument("--output", type=Path, help="where the page goes; a whole run writes docs/benchmarks.md")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--no-reference", action="store_true", help="measure Greenroom alone")
    who.add_argument("--reference-only", action="store_true", help="measure the reference alone")
    return parser


def _contestants(options: argparse.Namespace) -> tuple[list[Contestant], list[str]]:
    """Return who takes part, and what the page says of them."""
    found = [] if options.reference_only else [greenroom()]
    remarks = [f"Greenroom: {_version(contestant)}" for contestant in found]
    for other in [] if options.reference_only or options.quick else others():
        if isinstance(other, Uninstalled):
            remarks.append("It was not measured on CPython {}.{}: {}".format(*other.version, other.reason))
        else:
            found.append(other)
    if options.no_reference:
        return found, [*remarks, "The reference was left out on demand"]
    program = ensure_reference()
    if isinstance(program, Missing):
        remarks.append(f"The reference {VERSION} was left out: {program.reason} (${VARIABLE} may name one)")
        print(remarks[-1], file=sys.stderr)
        return found, remarks
    found.append(reference(program.path))
    remarks.append(f"Reference: {_version(found[-1])}, {program.description}")
    launcher = ensure_reference(launcher=True)
    if isinstance(launcher, Missing):
        remarks.append(f"It was not started through its launcher: {launcher.reason}")
    else:
        found.append(reference(launcher.path, LAUNCHED))
        remarks.append(f"In rows that say so: {_version(found[-1])}, {launcher.description}")
    return found, remarks


def _version(contestant: Contestant) -> str:
    try:
        asked = [contestant.command[0], "--version"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "of unknown version"


def _publish(
    options: argparse.Namespace, measured: Sequence[Row], sections: dict[str, Sequence[str]], run: Run
) -> None:
    print(table(measured))
    print("\n".join(sections["Machine"]))
    for failure in run.failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    partial = options.quick or options.only or options.reference_only or options.no_reference
    whole = not (partial or run.failures)
    output = options.output or (PAGE if whole else None)
    if output is not None:
        drawn = picture(run.samples)
        if drawn:
            output.with_name(NAME).write_text(drawn, encoding="utf-8")
        output.write_text(page(measured, sections, MARKDOWN if drawn else ""), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
