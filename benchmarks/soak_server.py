"""A server under soak: runs conversations on it, and measures it at rest in between."""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from benchmarks.client import Client
from benchmarks.load import Account, Conversation, Killer, LoadGenerator, conversations
from benchmarks.phase import Phase
from benchmarks.resources import Resources, at_rest, victims
from benchmarks.subject import Subject, environment

IDLE_WORKERS: Final = 2
"""Idle workers of such a server."""
LOOKS: Final = 12
"""How often a server whose memory is watched is measured after the beginning."""


class SoakServer:
    """A server under soak."""

    def __init__(self, client: Client, subject: Subject, home: str, warm_up: int, seed: int) -> None:
        self._client = client
        self._variables = environment(subject, home)
        self._slots = (home, client.workspace)
        self._seed = seed
        client.initialize()
        LoadGenerator(client, self._some(warm_up), seed).play(self._killer(helpers=0, workers=3), every=0.2)
        self.look()  # the first report takes memory

    def warm_up(self, count: int, kill_every: float) -> None:
        """Run conversations before the first measurement, while workers are killed."""
        LoadGenerator(self._client, self._some(count), self._seed).play(self._killer(helpers=0), kill_every)

    def look(self) -> Resources:
        """Wait until the server is at rest, and measure it."""
        # the last worker to exit removes temporary files
        LoadGenerator(self._client, [Conversation(deque(["patch"]))], self._seed).play()
        return at_rest(self._client.pid, self._variables, self._slots, IDLE_WORKERS)

    def play(self, title: str, cast: Iterable[Conversation], kill_every: float, helpers: int) -> Phase:
        """Run conversations and kill a process every so many seconds, at most `helpers` fork servers and brokers."""
        seen: list[Conversation] = []
        before, begun = self.look(), time.monotonic()
        crowd = LoadGenerator(self._client, _noted(cast, seen), self._seed)
        account = crowd.play(self._killer(helpers), kill_every)
        return Phase(title, len(seen), 0, time.monotonic() - begun, account, before, self.look())

    def watch(self, title: str, count: int, kill_every: float) -> Phase:
        """Run conversations, kill workers every so many seconds, and measure the server repeatedly."""
        cast, account, killer = self._some(count), Account(), self._killer(helpers=0)
        looks, begun = [self.look()], time.monotonic()
        for _ in range(LOOKS):
            account += LoadGenerator(self._client, islice(cast, count // LOOKS), self._seed).play(killer, kill_every)
            looks.append(self.look())
        seconds = time.monotonic() - begun
        return Phase(title, count // LOOKS * LOOKS, 0, seconds, account, looks[0], looks[-1], tuple(looks[1:]))

    def greet(self, title: str, cast: Sequence[Conversation]) -> Phase:
        """Have one turn in every conversation, new or parked."""
        newcomers = sum(1 for one in cast if one.thread is None)
        for conversation in cast:
            conversation.turns.append("hello")
        before, begun = self.look(), time.monotonic()
        account = LoadGenerator(self._client, cast, self._seed).play()
        return Phase(title, len(cast), newcomers, time.monotonic() - begun, account, before, self.look())

    def _some(self, count: int) -> Iterator[Conversation]:
        return islice(conversations(self._seed), count)

    def _killer(self, helpers: int, workers: int = sys.maxsize) -> Killer:
        find = partial(victims, self._client.pid, self._variables)
        return Killer(find, self._seed, helpers, workers)


def _noted(cast: Iterable[Conversation], seen: list[Conversation]) -> Iterator[Conversation]:
    for conversation in cast:
        seen.append(conversation)
        yield conversation
