"""Asks every process for its footprint, which only the process itself can read, and waits for a moment at most."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.worker.notices import OwnZygote
from greenroom.runtime.process import footprint
from greenroom.runtime.process import malloc as heap

TIMEOUT: Final = 0.25
"""Seconds that a process has to answer; one that hangs is shown without a footprint."""
SUPERVISOR_ID: Final = WorkerId("supervisor")


class ProcessFootprint(msgspec.Struct, frozen=True):
    """The footprint of a process, as it has reported."""

    footprint: Footprint
    zygote: OwnZygote | None = None
    """The zygote that starts its commands, where it has its own."""


ProcessFootprints: TypeAlias = Mapping[WorkerId, ProcessFootprint]


class FootprintCollector:
    """One round at a time. A request during a round gets the result of that round.

    What it returns changes where a process ends: it is then no longer in it.
    """

    def __init__(self, ask: Callable[[], Iterable[WorkerId]], now: Callable[[], float] = time.monotonic) -> None:
        """`ask` sends the request to all other processes and returns their ids; answers arrive through `receive`.

        `now` returns seconds that only grow.
        """
        self._ask, self._now = ask, now
        self._begun_at: float | None = None
        """When the last round began."""
        self._missing: set[WorkerId] = set()
        self._received: dict[WorkerId, ProcessFootprint] = {}
        self._round: asyncio.Future[ProcessFootprints] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.last: ProcessFootprints = MappingProxyType({})
        """The answers of the last round."""

    async def collect(self, max_age: float = 0.0) -> ProcessFootprints:
        """Ask, and return the answers that arrive in time.

        Those of a round that began less than `max_age` seconds ago are returned without asking.
        """
        if self._round is None and self._begun_at is not None and self._now() - self._begun_at < max_age:
            return self._received
        return await asyncio.shield(self._round or self._begin())

    def receive(self, who: WorkerId, held: ProcessFootprint) -> None:
        """Handle an answer; one that arrives after its round is dropped."""
        if who in self._missing:
            self._received[who] = held
            self._has_settled(who)

    def forget(self, who: WorkerId) -> None:
        """Stop waiting for a process that has ended, and keep nothing of it."""
        self._received.pop(who, None)
        self._has_settled(who)

    def _has_settled(self, who: WorkerId) -> None:
        self._missing.discard(who)
        if not self._missing:
            self._end()

    def _begin(self) -> "asyncio.Future[ProcessFootprints]":
        loop = asyncio.get_running_loop()
        begun = self._round = loop.create_future()
        self._begun_at = self._now()
        self._deadline = loop.call_later(TIMEOUT, self._end)
        heap.trim()  # memory that is free does not count as held
        self._received = {SUPERVISOR_ID: ProcessFootprint(footprint.measure())}
        self._missing = set(self._ask())
        if not self._missing:
            self._end()
        return begun

    def _end(self) -> None:
        ended, self._round, self.last = self._round, None, self._received
        self._missing.clear()
        if self._deadline is not None:
            self._deadline.cancel()
        if ended is not None:
            ended.set_result(self._received)
