"""`python -m benchmarks.soak`: many conversations with commands, cancellations and deaths, after which nothing is left.

A server is warmed up and looked at, plays its conversations while its processes are killed at random, comes to rest,
and is looked at again. Then it parks many conversations more, and each of them is spoken to once more.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.client import Client
from benchmarks.contestant import Contestant, environment, greenroom, write_config
from benchmarks.crowd import Account, Conversation, Crowd, Killer, conversations
from benchmarks.holdings import Holdings, at_rest, victims
from benchmarks.machine import Machine
from benchmarks.model_process import ModelProcess

IDLE_WORKERS: Final = 2
HELPER_DEATHS: Final = 4
"""Deaths of the nursery, and of the broker: one more within a minute and a server gives them up."""
PER_CONVERSATION: Final = 20_000
"""Bytes by which the supervisor may grow for each conversation that it knows."""
DRIFT: Final = 4_000_000
"""Bytes by which the private memory of a process may differ besides: the interpreter takes it by the megabyte."""
WATCHED: Final = 5
"""Descriptors that a supervisor may need more: for its log, and for each process that has outlived its nursery."""
INTRODUCTION: Final = (
    "Written by `make soak`: what a server holds after very many conversations. A conversation has up to four turns:"
    " greetings, commands, and turns in which the model falls silent until the call is cancelled; twenty run at a time."
    " Every call has to have one answer, a death may cost one call, and at rest there have to be as many processes,"
    " threads and files as before."
)
_FLAGS: Final = (
    "greenroom.live_workers=40",
    "greenroom.park_after_s=0.5",
    f"greenroom.idle_workers={IDLE_WORKERS}",
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One part of a soak: what was played, and what the server held before and after it."""

    title: str
    conversations: int
    newcomers: int
    """Those that the server did not know before."""
    seconds: float
    account: Account
    before: Holdings
    after: Holdings

    @property
    def per_conversation(self) -> float:
        """Bytes by which the supervisor grew for each conversation that is new to it."""
        return self.growth / self.newcomers if self.newcomers else 0.0

    @property
    def growth(self) -> int:
        """Bytes by which the supervisor grew."""
        return self.after.memory["supervisor"] - self.before.memory["supervisor"]

    def faults(self) -> list[str]:
        """Return what must not be, in words."""
        found = [*self.account.violations, *self._growth()]
        if self.after.files > self.before.files:
            found.append(f"files: {self.before.files} before, {self.after.files} after")
        for what in ("processes", "threads"):
            was, is_now = (self._comparable(getattr(look, what)) for look in (self.before, self.after))
            if was != is_now:
                found.append(f"{what}: {was} before, {is_now} after")
        return found

    def _comparable(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Leave out what stays of a nursery that was killed as long as a worker is left that it had forked."""
        left_out = {"gr-zygote"} if self.account.killed["nursery"] else set()
        return {name: count for name, count in counts.items() if name not in left_out}

    def _growth(self) -> Iterator[str]:
        """What outlives its nursery has the memory to itself that it shared with it, so it is not looked at then."""
        for role, count in self.after.descriptors.items():
            if count - (was := self.before.descriptors.get(role, count)) > WATCHED:
                yield f"descriptors of the {role}: {was} before, {count} after"
        for role, size in self.after.memory.items():
            was = self.before.memory.get(role, size)
            if self.account.killed["nursery"] and role != "supervisor":
                continue
            if size - was > DRIFT + (self.newcomers * PER_CONVERSATION if role == "supervisor" else 0):
                yield f"private memory of the {role}: {was:,} bytes before, {size:,} after"


class Bath:
    """A server that is soaked."""

    def __init__(self, client: Client, contestant: Contestant, home: str, warm_up: int, seed: int) -> None:
        self._client = client
        self._variables = environment(contestant, home)
        self._places = (home, client.workspace)
        self._seed = seed
        client.initialize()
        Crowd(client, conversations(warm_up, seed), seed).play(self._killer(helpers=0, workers=3), every=0.2)
        self.look()  # which takes memory the first time

    def look(self) -> Holdings:
        """Let the server come to rest, and look at what it holds."""
        return at_rest(self._client.pid, self._variables, self._places, IDLE_WORKERS)

    def play(self, title: str, cast: Sequence[Conversation], kill_every: float | None = None) -> Stretch:
        """Play conversations, and kill something every so many seconds."""
        killer = None if kill_every is None else self._killer(HELPER_DEATHS)
        newcomers = sum(1 for one in cast if one.thread is None)
        before, begun = self.look(), time.monotonic()
        account = Crowd(self._client, cast, self._seed).play(killer, kill_every or 0.0)
        seconds = time.monotonic() - begun
        Crowd(self._client, conversations(1, self._seed, longest=1), self._seed).play()  # whoever leaves last tidies up
        return Stretch(title, len(cast), newcomers, seconds, account, before, self.look())

    def _killer(self, helpers: int, workers: int = sys.maxsize) -> Killer:
        find = partial(victims, self._client.pid, self._variables)
        return Killer(find, self._seed, helpers, workers)


def soak(root: str, options: argparse.Namespace) -> Iterator[Stretch]:
    """Yield the stretches as they end."""
    home, workspace, runtime = (os.path.join(root, name) for name in ("home", "work", "run"))
    for directory in (workspace, runtime):
        os.makedirs(directory, mode=0o700)
    flags = [word for flag in _FLAGS for word in ("-c", flag)]
    command = (*greenroom().command, "--engine", options.engine, *flags)
    contestant = Contestant("greenroom", command, {"XDG_RUNTIME_DIR": runtime})
    with ModelProcess.start() as model:
        write_config(home, model.base_url)
        with Client(contestant, home, workspace) as client:
            bath = Bath(client, contestant, home, options.warm_up, options.seed)
            if options.conversations:
                cast = conversations(options.conversations, options.seed)
                yield bath.play("commands, cancellations and deaths", cast, options.kill_every)
            if options.parked:
                parked = [Conversation(deque(["hello"])) for _ in range(options.parked)]
                yield bath.play("conversations that are parked", parked)
                for conversation in parked:
                    conversation.turns.append("hello")
                yield bath.play("each of them spoken to once more", parked)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print what was found, and return 1 where anything was left, grew or went unanswered."""
    options = _parser().parse_args(arguments)
    machine = Machine.look()
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as root:
        stretches = []
        for stretch in soak(root, options):
            stretches.append(stretch)
            print("\n".join(describe(stretch)), file=sys.stderr, flush=True)
    if options.output is not None:
        options.output.write_text(page(stretches, machine.lines()), encoding="utf-8")
    return 1 if any(stretch.faults() for stretch in stretches) else 0


def describe(stretch: Stretch) -> list[str]:
    """Return what a stretch came to, as the items of a Markdown list."""
    account, after = stretch.account, stretch.after
    fates = ", ".join(f"{count:,} {fate}" for fate, count in account.fates.most_common())
    killed = ", ".join(f"{count} {role}" for role, count in account.killed.most_common())
    memory = ", ".join(f"{role} {size / 1e6:.1f} MB" for role, size in after.memory.items())
    return [
        f"**{stretch.title}**: {stretch.conversations:,} conversations in {stretch.seconds:.0f} s",
        f"calls: {fates}; the slowest took {account.slowest:.2f} s",
        *([f"killed: {killed}"] if killed else []),
        f"processes at rest: {_counts(after.processes)}; threads: {_counts(after.threads)}",
        f"descriptors: {_counts(after.descriptors)}; files beside sessions and the log: {after.files}",
        f"private memory at rest: {memory}",
        f"growth of the supervisor for each of its new conversations: {stretch.per_conversation / 1e3:.2f} kB"
        if stretch.newcomers
        else f"growth of the supervisor: {stretch.growth / 1e6:.2f} MB",
        *(f"FAULT: {fault}" for fault in stretch.faults()),
    ]


def page(stretches: Sequence[Stretch], machine: Sequence[str]) -> str:
    """Return the page that a soak leaves behind."""
    parts = ["# Soak", INTRODUCTION]
    for stretch in stretches:
        title, *items = describe(stretch)
        parts += [title, "\n".join(f"* {item}" for item in items)]
    return "\n\n".join([*parts, "## Machine", "\n".join(f"* {line}" for line in machine)]) + "\n"


def _counts(counts: "dict[str, int] | object") -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Soak a server.")
    parser.add_argument("--conversations", type=int, default=1_000, help="with commands, cancellations and deaths")
    parser.add_argument("--warm-up", type=int, default=40, help="conversations before the first look")
    parser.add_argument("--kill-every", type=float, default=0.5, metavar="SECONDS", help="on average")
    parser.add_argument("--parked", type=int, default=10_000, help="conversations that are only parked and resumed")
    parser.add_argument("--engine", choices=("fork", "spawn"), default="fork")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="where the page goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
