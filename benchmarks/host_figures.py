"""What is measured of a host: the processes of which it is read, and the figures with their units and meanings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from benchmarks.machine import Machine

LIVE: Final = 40
"""Conversations that have a process at a time."""
RATE: Final = 50
"""Deltas a second of a conversation that streams."""
NODES: Final = (1, 10, 50)
"""Numbers of nodes that are compared."""
FILES: Final = (1_000, 10_000, 100_000)
"""Session files of one day among which one is looked for."""
WIDE_WINDOW: Final = 500
"""Milliseconds for which pieces of a text are gathered in one of the experiments."""
MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "commit": ("ms", "flush of 1.5 kB of session records to this disk"),
    "commits_a_second": ("1/s", "flushes by four threads"),
    **{f"find_{count}": ("ms", f"search for one session file of {count:,} that began late: CPU") for count in FILES},
    **{f"idle_node_cpu_{count}": ("ms/s", f"node that does nothing, of {count}: supervisor") for count in NODES},
    "node_memory": ("kB", "the same: memory of the supervisor"),
    "node_descriptors": ("", "the same: descriptors of the supervisor"),
    "join_cpu": ("ms", f"node that joins again, {NODES[-1]} at once: supervisor"),
    "join_seconds": ("s", f"{NODES[-1]} nodes that join at once, until all have"),
    "new_cpu": ("ms", "new conversation on a node: supervisor"),
    "new_broker_cpu": ("ms", "the same: auth broker"),
    "live_memory": ("kB", "live conversation on a node: memory of the supervisor"),
    "live_descriptors": ("", "the same: descriptors of the supervisor"),
    "live_broker_descriptors": ("", "the same: descriptors of the auth broker"),
    "call_cpu": ("ms", "reply in a live conversation on a node: supervisor"),
    "call_broker_cpu": ("ms", "the same: auth broker"),
    "calls_a_second": ("1/s", f"replies in {LIVE} conversations at once, with node, model and client on the machine"),
    "delta_cpu": ("µs", f"piece of a text, {LIVE // 2} conversations of {RATE} a second: supervisor"),
    "fast_delta_cpu": ("µs", f"the same, {4 * RATE} a second each, which are joined"),
    "stream_cpu": ("ms/s", "conversation that streams: supervisor"),
    "wide_stream_cpu": ("ms/s", f"the same, with `delta_window_ms = {WIDE_WINDOW}`: supervisor"),
    "parked_memory": ("kB", "parked conversation that the host remembers: memory of the supervisor"),
    "resume_cpu": ("ms", "parked conversation that goes on, on a node: supervisor"),
    "resume_broker_cpu": ("ms", "the same: auth broker"),
}
"""Unit and meaning of each figure; where a process is named, its processor time."""
SOURCE: Final = "python -m benchmarks.host_capacity"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the host, and what it has used."""

    pid: int

    def cpu(self) -> float:
        """Return the seconds of processor time of all its threads, to the nanosecond."""
        total = 0
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                continue
        return total / 1e9

    def memory(self) -> int:
        """Return the bytes that it alone has."""
        return int(psutil.Process(self.pid).memory_full_info().uss)

    def descriptors(self) -> int:
        """Return the number of its descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@dataclass(slots=True)
class Figures:
    """What was measured, by its key in `MEANINGS`."""

    values: dict[str, float] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine.look)
    """As it was before the run."""

    def add(self, key: str, value: float) -> None:
        """Enter a figure, and print its row."""
        self.values[key] = value
        unit, meaning = MEANINGS[key]
        print(f"| {meaning} | {value:.3g} {unit} |", flush=True)

    def write(self, path: str) -> None:
        """Write them as a table that the simulation reads."""
        machine = "; ".join(self.machine.lines())
        entries = [
            "{} = {{ value = {:.4g}, unit = {!r}, meaning = {!r}, source = {!r} }}".format(
                key, value, *MEANINGS[key], SOURCE
            )
            for key, value in self.values.items()
        ]
        head = f"# What a host spends, as measured. Machine: {machine}"
        Path(path).write_text("\n".join((head, *entries, "")), "utf-8")
