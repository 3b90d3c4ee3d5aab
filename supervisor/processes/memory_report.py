"""Asks every process of ours what it holds, which only it can read of itself, and waits for that a moment at most."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.worker import OwnZygote
from greenroom.runtime import footprint
from greenroom.runtime import malloc as heap

TIMEOUT: Final = 0.25
"""Seconds that a process has for its answer; who hangs is shown without one."""
SUPERVISOR_ID: Final = WorkerId("supervisor")


@dataclass(frozen=True, slots=True)
class ProcessFootprint:
    """What a process holds, as it has told."""

    footprint: Footprint
    unsent: int | None = None
    """Bytes of events that we have not taken yet."""
    sandbox_limits: tuple[str, ...] = ()
    """What the sandbox of its commands does not hold here, or holds at a price."""
    zygote: OwnZygote | None = None
    """What starts its commands, where it is its own."""


ProcessFootprints: TypeAlias = Mapping[WorkerId, ProcessFootprint]


class FootprintCollector:
    """One round after the other. Whoever asks while a round is under way gets what that one brings."""

    def __init__(self, ask: Callable[[], Iterable[WorkerId]]) -> None:
        """`ask` puts the question to everybody but us and returns to whom; the answers come through `heard`."""
        self._ask = ask
        self._missing: set[WorkerId] = set()
        self._heard: dict[WorkerId, ProcessFootprint] = {}
        self._round: asyncio.Future[ProcessFootprints] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    async def collect(self) -> ProcessFootprints:
        """Ask, and return what came back in time."""
        return await asyncio.shield(self._round or self._begin())

    def receive(self, who: WorkerId, held: ProcessFootprint) -> None:
        """Take an answer; one that comes after its round is dropped."""
        if who in self._missing:
            self._heard[who] = held
            self.forget(who)

    def forget(self, who: WorkerId) -> None:
        """Wait no longer for a process: it has ended."""
        self._missing.discard(who)
        if not self._missing:
            self._end()

    def _begin(self) -> "asyncio.Future[ProcessFootprints]":
        loop = asyncio.get_running_loop()
        begun = self._round = loop.create_future()
        self._deadline = loop.call_later(TIMEOUT, self._end)
        heap.trim()  # what is free is not held, however long ago it was given back last
        self._heard = {SUPERVISOR_ID: ProcessFootprint(footprint.measure())}
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
            ended.set_result(self._heard)
