"""What streaming costs where a model sends one delta at a time; `python -m benchmarks.streaming` prints one run."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.client import Client, ContestantError
from benchmarks.contestant import GREENROOM, REFERENCE, Contestant, greenroom, reference, write_config
from benchmarks.paced_process import PacedModel, Report, prompt
from benchmarks.processes import cpu_by_role, cpu_seconds
from benchmarks.reference_program import Missing, ensure_reference
from benchmarks.report import percentile
from benchmarks.stamps import Arrivals

_SETTLING: Final = 1.0
"""Seconds between the last stream's begin and the measurement, and before idling is measured."""
_IDLE: Final = 2.0
"""Seconds for which idling is measured."""
_IDLE_CORES: Final = 0.02
"""CPU seconds a second below which a program counts as idle."""
_TIMEOUT: Final = 120.0
_PAUSE: Final = 0.1


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

    def flags(self, contestant: Contestant) -> tuple[str, ...]:
        """Return the words that a contestant's command needs for this."""
        if contestant.name != GREENROOM:
            return ()
        settings = [f"greenroom.live_workers={max(200, 2 * self.conversations)}"]
        if not self.events:
            settings.append('greenroom.events="off"')
        return tuple(word for setting in settings for word in ("-c", setting))


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one run has shown."""

    deltas: int
    """Sent by the model while CPU was measured."""
    late: int
    """Of all deltas those that the model sent late; where there are many, the machine had no time for the model."""
    cost: float
    """CPU seconds of all processes for a delta in the midst of the streams, above idling."""
    whole_cost: float
    """The same from the calls to their answers, begin and end of the turns included."""
    cores: float
    """CPU seconds a second in the midst of the streams, idling included."""
    idle_cores: float
    """The same with all conversations idle."""
    roles: dict[str, float]
    """Seconds above idling for each name of a process and a thread."""
    delays: list[float]
    """Seconds from the model's socket to the client's pipe, of the deltas that arrived while CPU was measured."""


@dataclass(frozen=True, slots=True)
class Use:
    """CPU that a contestant has used while time passed."""

    seconds: float
    roles: dict[str, float]
    """Seconds of each name of a process and a thread."""
    took: float
    """Seconds of the clock."""

    def above(self, idle: "Use") -> float:
        """Return the seconds that idling does not account for."""
        return self.seconds - idle.seconds * self.took / idle.took

    def roles_above(self, idle: "Use") -> dict[str, float]:
        """Return the same for each role."""
        share = self.took / idle.took
        return {role: seconds - idle.roles.get(role, 0.0) * share for role, seconds in self.roles.items()}


class StreamClient(Client):
    """A client that notes when each delta has come."""

    def __init__(self, contestant: Contestant, home: str, workspace: str) -> None:
        self.arrivals = Arrivals()
        super().__init__(contestant, home, workspace)

    def read_for(self, seconds: float) -> None:
        """Read whatever comes for so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._readable.poll(left * 1000):
                self._read(deadline)

    def _take(self, lines: bytes, now: float) -> None:
        super()._take(lines, now)
        self.arrivals.read(lines, now)


def measure(contestant: Contestant, load: Load, model: PacedModel, home: str, workspace: str) -> Streamed:
    """Stream to one started contestant until it has been measured. Raises `ContestantError`."""
    program = replace(contestant, command=(*contestant.command, *load.flags(contestant)))
    with StreamClient(program, home, workspace) as client:
        client.initialize()
        threads = _conversations(client, load.conversations)
        _until_idle(client)
        idle = _watch(client, _IDLE)
        client.arrivals.delays.clear()
        before, used = model.report(), cpu_seconds(client.pid)
        begun = time.monotonic()
        calls = [client.reply(thread, prompt(load.rate)) for thread in threads]
        try:
            _until_all_stream(client, model, load.conversations)
            client.read_for(_SETTLING)
            since, seen = model.report(), len(client.arrivals.delays)
            steady = _watch(client, load.seconds)
            delays = client.arrivals.delays[seen:]
            until = model.report()
        finally:
            total = model.stop()
        for call in calls:
            client.succeed(call, _TIMEOUT)
        whole = Use(cpu_seconds(client.pid) - used, {}, time.monotonic() - begun)
        if load.events:
            _check(client, total, before)
        return Streamed(
            deltas=until.sent - since.sent,
            late=until.late - since.late,
            cost=steady.above(idle) / (until.sent - since.sent),
            whole_cost=whole.above(idle) / (total.sent - before.sent),
            cores=steady.seconds / steady.took,
            idle_cores=idle.seconds / idle.took,
            roles=steady.roles_above(idle),
            delays=delays,
        )


def _conversations(client: StreamClient, count: int) -> list[str]:
    """Have so many conversations that have had one turn, and return their ids."""
    first = client.succeed(client.begin(prompt(0)), _TIMEOUT)[1]
    calls = [client.begin(prompt(0)) for _ in range(count - 1)]
    return [first, *(client.succeed(call, _TIMEOUT)[1] for call in calls)]


def _until_all_stream(client: StreamClient, model: PacedModel, count: int) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while (found := model.report().streaming) < count:
        if time.monotonic() > deadline:
            raise ContestantError(f"{client.contestant.name} opened {found} of {count} streams")
        client.read_for(_PAUSE)


def _until_idle(client: StreamClient) -> None:
    """Wait until what a program does after its first turns is done."""
    deadline = time.monotonic() + _TIMEOUT
    while (now := _watch(client, _SETTLING)).seconds > _IDLE_CORES * now.took:
        if time.monotonic() > deadline:
            raise ContestantError(f"{client.contestant.name} has not come to rest")


def _watch(client: StreamClient, seconds: float) -> Use:
    """Read for some seconds, and return what the contestant has used."""
    roles, before, begun = cpu_by_role(client.pid), cpu_seconds(client.pid), time.monotonic()
    client.read_for(seconds)
    took, after, later = time.monotonic() - begun, cpu_seconds(client.pid), cpu_by_role(client.pid)
    return Use(after - before, {role: later[role] - roles.get(role, 0.0) for role in later}, took)


def _check(client: StreamClient, total: Report, before: Report) -> None:
    """See that each delta has come."""
    sent, come = total.sent - before.sent, len(client.arrivals.delays)
    if come != sent:
        raise ContestantError(f"{client.contestant.name} relayed {come} of {sent} deltas")


def text(contestant: Contestant, load: Load, found: Streamed) -> str:
    """Return one run for people, with what each role had of the CPU of a delta."""
    lines = [
        f"{contestant.name}, {load.conversations} \u00d7 {load.rate} deltas a second for {load.seconds:g} s,"
        f" events {'on' if load.events else 'off'}: {found.deltas} deltas, {found.late} of them sent late",
        f"{found.whole_cost * 1e6:8.1f} \u00b5s of CPU for a delta, whole turns",
        f"{found.cost * 1e6:8.1f} \u00b5s of CPU for a delta in the midst of the streams"
        f" ({found.cores:.3f} cores, {found.idle_cores:.4f} while idle), of which",
    ]
    for role, seconds in sorted(found.roles.items(), key=lambda entry: -entry[1]):
        if (cost := seconds / found.deltas * 1e6) >= 0.05:
            lines.append(f"{cost:8.1f} \u00b5s  {role}")
    if found.delays:
        median, worst = (percentile(found.delays, percent) * 1e3 for percent in (50, 99))
        lines.append(f"{median:8.2f} ms from the model to the client, p50; {worst:.2f} ms p99")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what one load costs one contestant."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--rate", type=int, default=100, help="deltas a second of each conversation")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--events", choices=("on", "off"), default="on")
    parser.add_argument("--subject", choices=(GREENROOM, REFERENCE), default=GREENROOM)
    options = parser.parse_args(arguments)
    contestant = greenroom() if options.subject == GREENROOM else _reference()
    if contestant is None:
        return 1
    load = Load(options.conversations, options.rate, options.seconds, options.events == "on")
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as root, PacedModel.start() as model:
        home, workspace = os.path.join(root, "home"), os.path.join(root, "workspace")
        write_config(home, model.base_url)
        os.makedirs(workspace)
        try:
            print(text(contestant, load, measure(contestant, load, model, home, workspace)))
        except ContestantError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _reference() -> Contestant | None:
    program = ensure_reference()
    if isinstance(program, Missing):
        print(program.reason, file=sys.stderr)
        return None
    return reference(program.path)


if __name__ == "__main__":
    sys.exit(main())
