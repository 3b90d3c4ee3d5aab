"""Describes the machine of a measurement, without identifying it."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts needed to judge the figures."""

    processor: str
    cores: int
    memory: int
    """Bytes."""
    system: str
    python: str
    date: str
    load: float
    """Load average of the last minute before the run."""

    @classmethod
    def look(cls) -> Self:
        """Describe the machine in its current state."""
        return cls(
            processor=_processor(),
            cores=psutil.cpu_count() or 1,
            memory=psutil.virtual_memory().total,
            system=f"{platform.system()} {platform.release()} ({platform.machine()})",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            date=datetime.now(UTC).date().isoformat(),
            load=os.getloadavg()[0],
        )

    def lines(self) -> list[str]:
        """Return the description, one fact per line."""
        return [
            f"{self.cores} \u00d7 {self.processor}",
            f"{self.memory / 2**30:.0f} GiB of memory",
            self.system,
            self.python,
            f"{self.date}, load before the run {self.load:.2f}",
        ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as facts:
            for line in facts:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
