"""What streaming costs where a model sends one delta at a time; `python -m benchmarks.streaming` prints one run."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.calibration import Calibration
from benchmarks.client import SubjectError
from benchmarks.model_process import PacedModel
from benchmarks.reference_program import Missing, ensure_reference
from benchmarks.streamer import Streamed, Streamer
from benchmarks.subject import GREENROOM, REFERENCE, Subject, greenroom, reference, write_config


@dataclass(frozen=True, slots=True)
class Load:
    """How much is streamed."""

    conversations: int
    rate: int
    """Deltas a second of each conversation."""
    seconds: float
    """For which is measured."""
    events: bool = True
    """Whether the client gets the deltas."""

    def program(self, subject: Subject) -> Subject:
        """Return the subject with the settings that it needs for this."""
        if not subject.is_greenroom:
            return subject
        settings = [f"greenroom.live_workers={max(200, 2 * self.conversations)}"]
        if not self.events:
            settings.append('greenroom.events="off"')
        words = [word for setting in settings for word in ("-c", setting)]
        return replace(subject, command=(*subject.command, *words))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load has cost one subject."""

    streamed: Streamed
    """In the midst of the streams."""
    whole: float
    """CPU seconds for a delta over new conversations, from their calls to their answers."""


def measure(subject: Subject, load: Load, model: PacedModel, home: str, workspace: str) -> Cost:
    """Stream to one started subject until it has been measured. Raises `SubjectError`."""
    with Streamer(load.program(subject), model, home, workspace) as streamer:
        streamer.grow(load.conversations)
        idle = streamer.rest()
        streamed = streamer.stream(load.conversations, load.rate, load.seconds, idle, delivered=load.events)
        whole = streamer.whole(load.conversations, load.rate, load.seconds, idle, delivered=load.events)
        return Cost(streamed, whole)


def text(subject: Subject, load: Load, cost: Cost) -> str:
    """Return one run for people, with what each role had of the CPU of a delta."""
    found = cost.streamed
    lines = [
        f"{subject.name}, {load.conversations} \u00d7 {load.rate} deltas a second for {load.seconds:g} s,"
        f" events {'on' if load.events else 'off'}: {found.deltas} deltas, {found.late} of them sent late",
        f"{cost.whole * 1e6:8.1f} \u00b5s of CPU for a delta, over whole new conversations",
        f"{found.cost * 1e6:8.1f} \u00b5s of CPU for a delta in the midst of the streams"
        f" ({found.cores:.3f} cores), of which",
    ]
    for role, seconds in sorted(found.roles.items(), key=lambda entry: -entry[1]):
        if (share := seconds / found.deltas * 1e6) >= 0.05:
            lines.append(f"{share:8.1f} \u00b5s  {role}")
    if found.delays:
        median, worst = found.delay(50) * 1e3, found.delay(99) * 1e3
        lines.append(f"{median:8.2f} ms from the model to the client, p50; {worst:.2f} ms p99")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what one load costs one subject."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--rate", type=int, default=100, help="deltas a second of each conversation")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--events", choices=("on", "off"), default="on")
    parser.add_argument("--subject", choices=(GREENROOM, REFERENCE), default=GREENROOM)
    options = parser.parse_args(arguments)
    subject = greenroom() if options.subject == GREENROOM else _reference()
    if subject is None:
        return 1
    print("\n".join(Calibration.take().lines()))
    load = Load(options.conversations, options.rate, options.seconds, options.events == "on")
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as root, PacedModel.start() as model:
        home, workspace = os.path.join(root, "home"), os.path.join(root, "workspace")
        write_config(home, model.base_url)
        os.makedirs(workspace)
        try:
            print(text(subject, load, measure(subject, load, model, home, workspace)))
        except SubjectError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _reference() -> Subject | None:
    program = ensure_reference()
    if isinstance(program, Missing):
        print(program.reason, file=sys.stderr)
        return None
    return reference(program.path)


if __name__ == "__main__":
    sys.exit(main())
