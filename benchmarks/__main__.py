"""`python -m benchmarks`: run the measurements, print the table, and write the page."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.client import ContestantError
from benchmarks.contestant import Contestant, greenroom, reference
from benchmarks.experiments import EXPERIMENTS
from benchmarks.figures import FIGURES, KEYS
from benchmarks.machine import Machine
from benchmarks.model_process import ModelProcess
from benchmarks.reference_program import VARIABLE, VERSION, Missing, ensure_reference
from benchmarks.report import Row, missed, page, rows, table
from benchmarks.run import Run

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"

METHOD: Final = (
    "Both programs talk to the same scripted model server, a separate process on the loopback interface, in the"
    " same run. They alternate, and so does which of them starts.",
    "The client reads the pipe in blocks of up to 1 MiB, as fast as it can, and only looks for answers and counts"
    " deltas, because it runs on the same cores.",
    "Each program has its own home, in which it has had one start and one turn before anything is measured. There"
    " are no approvals, and no sandbox unless the row says so.",
    "New conversations and replies are measured one after the other in a warm server. A request has reached the"
    " model when the model server has read its head, by the clock that all processes share.",
    "CPU is user and system time of the program's whole process tree, including children that have ended, without"
    " the model server and the client. Idling begins 2 s after the last answer and is measured for 10 s.",
    "The 100 calls are sent to a server that has had one turn and 2 s of rest. In the first tenth of a second after"
    " its first turn Greenroom still prepares what later conversations share; calls in that time take some 0.2 s"
    " longer.",
    "Access tokens are measured without a server: one broker, and workers in four processes that each ask ten times"
    " a second, a thousand requests a second in total.",
    "Private memory is `Private_Clean` + `Private_Dirty` of `smaps_rollup`; the rest is shared with the fork server.",
)
NOTES: Final = (
    "The model server writes deltas in large blocks, as fast as they are read. If a model sends them one at a time,"
    " a delta costs each program more.",
    "The 100 calls, and the idling after them, are measured only once for the reference, because it takes long.",
    "A memory row is empty if the user may not read `smaps_rollup` of an undumpable process.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 where something failed, or where a budget is missed and `--check` was given."""
    options = _parser().parse_args(arguments)
    contestants, remarks = _contestants(options)
    wanted = [figure for figure in FIGURES if not options.only or figure.key in options.only]
    keys = {figure.key for figure in wanted}
    machine = Machine.look()
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as root, ModelProcess.start() as model:
        run = Run(contestants, model, root, quick=options.quick)
        try:
            run.prepare()
        except ContestantError as error:
            print(f"nothing was measured: {error}", file=sys.stderr)
            return 1
        for experiment in EXPERIMENTS:
            if keys.intersection(experiment.figures):
                run.measure(experiment)
    measured = rows(wanted, run.samples)
    sections = {"Machine": machine.lines(), "Programs": remarks, "Method": METHOD, "Notes": NOTES}
    _publish(options, measured, sections, run.failures)
    return 1 if run.failures or (options.check and missed(measured)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the budgets of the design.")
    parser.add_argument("--quick", action="store_true", help="few repetitions; leaves out what takes minutes")
    parser.add_argument("--only", action="append", choices=KEYS, metavar="ROW", help=f"one of {', '.join(KEYS)}")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is missed")
    parser.add_argument("--output", type=Path, help="where the page goes; a whole run writes docs/benchmarks.md")
    parser.add_argument(
        "--launcher", action="store_true", help="start the reference through its Node launcher, as its users do"
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--no-reference", action="store_true", help="measure Greenroom alone")
    who.add_argument("--reference-only", action="store_true", help="measure the reference alone")
    return parser


def _contestants(options: argparse.Namespace) -> tuple[list[Contestant], list[str]]:
    """Return the programs that take part, and remarks about them for the page."""
    contestants = [] if options.reference_only else [greenroom()]
    remarks = [f"Greenroom: {_version(contestant)}" for contestant in contestants]
    if options.no_reference:
        return contestants, [*remarks, "The reference was left out on demand"]
    program = ensure_reference(launcher=options.launcher)
    if isinstance(program, Missing):
        remarks.append(f"The reference {VERSION} was left out: {program.reason} (${VARIABLE} may name one)")
        print(remarks[-1], file=sys.stderr)
        return contestants, remarks
    contestants.append(reference(program.path))
    return contestants, [*remarks, f"Reference: {_version(contestants[-1])}, {program.description}"]


def _version(contestant: Contestant) -> str:
    try:
        asked = [contestant.command[0], "--version"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "of unknown version"


def _publish(
    options: argparse.Namespace, measured: Sequence[Row], sections: dict[str, Sequence[str]], failures: Sequence[str]
) -> None:
    print(table(measured))
    for failure in failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    partial = options.quick or options.only or options.reference_only or options.no_reference or options.launcher
    whole = not (partial or failures)
    output = options.output or (PAGE if whole else None)
    if output is not None:
        output.write_text(page(measured, sections), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
