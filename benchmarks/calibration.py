"""How fast the machine is at this moment: fixed work that has nothing to do with either program."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

_ROUNDS: Final = 5
_STEPS: Final = 1_000_000
_COPIES: Final = 200
_COPY: Final = 1 << 20
_CALLS: Final = 20_000
_WAKES: Final = 2_000
_BYTE: Final = b"x"
_WORK: Final = (
    "Python loop over a million numbers",
    f"copying {_COPIES} MiB, one at a time",
    "writing a byte into a pipe and reading it",
    "a byte to another process and back",
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Costs of fixed work, each the best of several tries."""

    python: float
    """CPU seconds of a loop of the interpreter over a million numbers."""
    memory: float
    """CPU seconds for copying 200 MiB within memory, a MiB at a time."""
    calls: float
    """CPU seconds of 20,000 pairs of `write` and `read` of a byte through a pipe within one thread."""
    wakes: float
    """Seconds of the clock for 2,000 bytes to another process and back through pipes, one at a time."""

    @classmethod
    def take(cls) -> Self:
        """Do the work, which takes a second or two."""
        return cls(
            python=_best(_python, time.process_time),
            memory=_best(_memory, time.process_time),
            calls=_best(_calls, time.process_time),
            wakes=_best(_wakes, time.perf_counter),
        )

    def lines(self, after: "Calibration | None" = None) -> list[str]:
        """Return the figures, one a line, with those that were taken after a run beside them."""
        later = [""] * len(_WORK) if after is None else [f"; {figure} after the run" for figure in after.figures()]
        return [
            f"Calibration, {work}: {figure}{more}"
            for work, figure, more in zip(_WORK, self.figures(), later, strict=True)
        ]

    def figures(self) -> tuple[str, ...]:
        """Return the cost of each work with its unit."""
        return (
            f"{self.python * 1e3:.1f} ms of CPU",
            f"{self.memory * 1e3:.1f} ms of CPU",
            f"{self.calls / _CALLS * 1e6:.2f} \u00b5s of CPU",
            f"{self.wakes / _WAKES * 1e6:.1f} \u00b5s of time",
        )


def _best(work: Callable[[], None], clock: Callable[[], float]) -> float:
    """Return the shortest time of several tries: what disturbs a try only ever makes it longer."""
    times = []
    for _ in range(_ROUNDS):
        begun = clock()
        work()
        times.append(clock() - begun)
    return min(times)


def _python() -> None:
    total = 0
    for number in range(_STEPS):
        total = (total + number * number) & 0xFFFF


def _memory() -> None:
    source, target = bytes(_COPY), bytearray(_COPY)
    for _ in range(_COPIES):
        target[:] = source


def _calls() -> None:
    reading, writing = os.pipe()
    for _ in range(_CALLS):
        os.write(writing, _BYTE)
        os.read(reading, 1)
    os.close(reading)
    os.close(writing)


def _wakes() -> None:
    """Play with a forked process that sends back what it gets until the pipe is closed."""
    to_other, here = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.close(to_other[1])
        while byte := os.read(to_other[0], 1):
            os.write(here[1], byte)
        os._exit(0)
    os.close(to_other[0])
    for _ in range(_WAKES):
        os.write(to_other[1], _BYTE)
        os.read(here[0], 1)
    for descriptor in (to_other[1], *here):
        os.close(descriptor)
    os.waitpid(pid, 0)
