"""`python -m benchmarks.soak`: many conversations with commands, cancellations and killed processes, and a check for
leaks.

A server is warmed up and measured, runs conversations while its processes are killed at random, comes to rest, and is
measured again. Another one parks very many conversations, each of which then has one more turn.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

from benchmarks.client import Client
from benchmarks.load import Conversation, conversations
from benchmarks.machine import Machine
from benchmarks.model_process import ModelProcess
from benchmarks.phase import TREND, Phase
from benchmarks.soak_server import IDLE_WORKERS, LOOKS, SoakServer
from benchmarks.subject import Subject, greenroom, write_config

HELPER_DEATHS: Final = 4
"""Kills of the fork server, and of the broker: with one more within a minute, a server gives the broker up."""
KNOWN_AT_REST: Final = 100
"""Parked conversations that a server remembers while its memory is watched."""
WARM_UP: Final = 800
"""Conversations before its memory is watched: after that its histories are full and its buffers have had their largest
size."""
WARM_UP_KILLS: Final = 0.1
"""Seconds between two kills meanwhile, so that the history of deaths is full
(`greenroom.supervisor.processes.exits.REMEMBERED`)."""
INTRODUCTION: Final = (
    "Written by `make soak`: the resources of a server after very many conversations. A conversation has up to four"
    " turns: greetings, commands, patches, and turns in which the model falls silent until the call is cancelled;"
    " twenty run at a time. Every call must get one answer, a killed process may fail one call, and at rest there"
    " must be as many processes, threads and files as before. In the first two parts the server remembers at most"
    f" {KNOWN_AT_REST} parked conversations. In the second part only workers are killed, and memory is watched: first"
    f" {WARM_UP} conversations run with so many deaths that all of the server's histories are full; then memory is"
    f" measured {LOOKS} times. The minimum private memory of supervisor, fork server and broker in the second half of"
    f" these measurements may exceed that in the first half by {TREND >> 10} KiB, which is less than 1 kB per"
    " conversation in between. In the other parts the server remembers every conversation, which costs memory."
)
_FLAGS: Final = ("greenroom.live_workers=40", "greenroom.park_after_s=0.5", f"greenroom.idle_workers={IDLE_WORKERS}")
_FORGETFUL: Final = f"greenroom.known_at_rest={KNOWN_AT_REST}"
_MINDFUL: Final = "greenroom.known_at_rest=1_000_000"


def soak(root: str, options: argparse.Namespace) -> Iterator[Phase]:
    """Yield the phases as they end."""
    with ModelProcess.start() as model:
        if options.deaths or options.seconds or options.conversations:
            with _soak_server(os.path.join(root, "a"), options, model, _FORGETFUL) as soak_server:
                yield from _amid_deaths(soak_server, options)
        if options.parked:
            with _soak_server(os.path.join(root, "b"), options, model, _MINDFUL) as soak_server:
                parked = [Conversation(deque()) for _ in range(options.parked)]
                yield soak_server.greet("conversations that are parked", parked)
                yield soak_server.greet("each of them spoken to once more", parked)


def _amid_deaths(soak_server: SoakServer, options: argparse.Namespace) -> Iterator[Phase]:
    if options.deaths or options.seconds:
        end = time.monotonic() + options.seconds
        endless = takewhile(lambda _: time.monotonic() < end, conversations(options.seed))
        cast = endless if options.seconds else islice(conversations(options.seed), options.deaths)
        title = "commands, patches, cancellations and deaths of every process"
        yield soak_server.play(title, cast, options.kill_every, HELPER_DEATHS)
    if options.conversations:
        soak_server.warm_up(WARM_UP, WARM_UP_KILLS)
        title = "commands, patches, cancellations and deaths of workers, while memory is watched"
        yield soak_server.watch(title, options.conversations, options.kill_every)


@contextmanager
def _soak_server(root: str, options: argparse.Namespace, model: ModelProcess, *more: str) -> Iterator[SoakServer]:
    """Start a server with its own home."""
    home, workspace, runtime = (os.path.join(root, name) for name in ("home", "work", "run"))
    for directory in (workspace, runtime):
        os.makedirs(directory, mode=0o700)
    flags = [word for flag in (*_FLAGS, *more) for word in ("-c", flag)]
    command = (*greenroom().command, "--engine", options.engine, *flags)
    subject = Subject("greenroom", command, {"XDG_RUNTIME_DIR": runtime})
    write_config(home, model.base_url)
    with Client(subject, home, workspace) as client:
        yield SoakServer(client, subject, home, options.warm_up, options.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the results, and return 1 if there is a leak, growth or an unanswered call."""
    options = _parser().parse_args(arguments)
    machine = Machine.look()
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as root:
        phases = []
        for phase in soak(root, options):
            phases.append(phase)
            print("\n".join(describe(phase)), file=sys.stderr, flush=True)
    if options.output is not None:
        options.output.write_text(page(phases, machine.lines()), encoding="utf-8")
    return 1 if any(phase.faults() for phase in phases) else 0


def describe(phase: Phase) -> list[str]:
    """Return the results of a phase as the items of a Markdown list."""
    account, after = phase.account, phase.after
    fates = ", ".join(f"{count:,} {fate}" for fate, count in account.fates.most_common())
    killed = ", ".join(f"{count} {role}" for role, count in account.killed.most_common())
    memory = ", ".join(f"{role} {size / 1e6:.1f} MB" for role, size in after.memory.items())
    trends = ", ".join(f"{role} {size / 1e3:+,.0f} kB" for role, size in phase.trends.items())
    return [
        f"**{phase.title}**: {phase.conversations:,} conversations in {phase.seconds:.0f} s",
        f"calls: {fates}; the slowest took {account.slowest:.2f} s",
        *([f"killed: {killed}"] if killed else []),
        f"processes at rest: {_counts(after.processes)}; threads: {_counts(after.threads)}",
        f"descriptors: {_counts(after.descriptors)}; files beside sessions and the log: {after.files}",
        f"private memory at rest: {memory}",
        f"growth of the supervisor for each of its new conversations: {phase.per_conversation / 1e3:.2f} kB"
        if phase.newcomers
        else f"growth of the supervisor: {phase.growth / 1e6:.2f} MB",
        *([f"growth while it was watched: {trends}"] if trends else []),
        *(f"FAULT: {fault}" for fault in phase.faults()),
    ]


def page(phases: Sequence[Phase], machine: Sequence[str]) -> str:
    """Return the page with the results."""
    parts = ["# Soak", INTRODUCTION]
    for phase in phases:
        title, *items = describe(phase)
        parts += [title, "\n".join(f"* {item}" for item in items)]
    return "\n\n".join([*parts, "## Machine", "\n".join(f"* {line}" for line in machine)]) + "\n"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Soak a server.")
    parser.add_argument("--deaths", type=int, default=400, help="conversations amid deaths of every process")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long they begin, in place of their number")
    parser.add_argument("--conversations", type=int, default=1_600, help="amid deaths of workers, memory watched")
    parser.add_argument("--warm-up", type=int, default=40, help="conversations before the first look")
    parser.add_argument("--kill-every", type=float, default=0.5, metavar="SECONDS", help="on average")
    parser.add_argument("--parked", type=int, default=10_000, help="conversations that are only parked and resumed")
    parser.add_argument("--engine", choices=("fork", "spawn"), default="fork")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="where the page goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
