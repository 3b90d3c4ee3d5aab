"""Asks every process for its footprint, which only the process itself can read, and waits for a moment at most."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.worker import OwnZygote
from greenroom.runtime import footprint
from greenroom.runtime import malloc as heap

TIMEOUT: Final = 0.25
"""Seconds that a process has to answer; one that hangs is shown without a footprint."""
SUPERVISOR_ID: Final = WorkerId("supervisor")


class ProcessFootprint(msgspec.Struct, frozen=True):
    """The footprint of a process, as it has reported."""

    footprint: Footprint
    unsent: int | None = None
    """Bytes of events that the supervisor has not read yet."""
    sandbox_limits: tuple[str, ...] = ()
    """Protections that the sandbox of its commands does not provide here, or only at a cost."""
    zygote: OwnZygote | None = None
    """The zygote that starts its commands, where it has its own."""


ProcessFootprints: TypeAlias = Mapping[WorkerId, ProcessFootprint]


class FootprintCollector:
    """One round at a time. A request during a round gets the result of that round."""

    def __init__(self, ask: Callable[[], Iterable[WorkerId]]) -> None:
        """`ask` sends the request to all other processes and returns their ids; answers arrive through `receive`."""
        self._ask = ask
        self._missing: set[WorkerId] = set()
        self._received: dict[WorkerId, ProcessFootprint] = {}
        self._round: asyncio.Future[ProcessFootprints] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    async def collect(self) -> ProcessFootprints:
        """Ask, and return the answers that arrive in time."""
        return await asyncio.shield(self._round or self._begin())

    def receive(self, who: WorkerId, held: ProcessFootprint) -> None:
        """Handle an answer; one that arrives after its round is dropped."""
        if who in self._missing:
            self._received[who] = held
            self.forget(who)

    def forget(self, who: WorkerId) -> None:
        """Stop waiting for a process that has ended."""
        self._missing.discard(who)
        if not self._missing:
            self._end()

    def _begin(self) -> "asyncio.Future[ProcessFootprints]":
        loop = asyncio.get_running_loop()
        begun = self._round = loop.create_future()
        self._deadline = loop.call_later(TIMEOUT, self._end)
        heap.trim()  # memory that is free does not count as held
        self._received = {SUPERVISOR_ID: ProcessFootprint(footprint.measure())}
        self._missing = set(self._ask())
        if not self._missing:
            self._end()
        return begun

    def _end(self) -> None:
        ended, self._round = self._round, None
        self._missing.clear()
        if self._deadline is not None:
            self._deadline.cancel()
        if ended is not None:
            ended.set_result(self._received)
