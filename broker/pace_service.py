"""Answers workers that ask for their turn under a rate limit (`greenroom.broker.pace`)."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from greenroom.broker.pace import PRESENCE, Paces
from greenroom.protocol.internal.broker.answers import PaceStanding, Slot
from greenroom.protocol.internal.broker.broadcasts import RateLimited
from greenroom.protocol.internal.broker.questions import GetSlot, LeaveQueue, ReportLimited

LONGEST_NAP: Final = PRESENCE / 2
"""Seconds after which a waiting request is noted as present again."""
SHORTEST_NAP: Final = 0.001
MOST_PACES: Final = 50
"""Limits that are told of."""


class PaceService:
    """The limits that workers of one broker have met. `publish` tells all workers."""

    def __init__(self, publish: Callable[[RateLimited], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._publish = publish
        self._clock = clock
        self._paces = Paces()

    async def slot(self, name: str, question: GetSlot) -> Slot:
        """Return when the turn has come, or the asker's patience is at an end."""
        who, until = (name, question.ticket), self._clock() + question.patience_ms / 1000
        while True:
            now = self._clock()
            pace = self._paces.find(question.key, now)
            if pace is None:
                return Slot(granted=True, is_limited=False)
            turn = pace.ask(who, now)
            if turn.granted or now >= until:
                return Slot(granted=turn.granted, serial=turn.serial, wait_ms=round(turn.wait * 1000))
            await asyncio.sleep(max(min(turn.wait, until - now, LONGEST_NAP), SHORTEST_NAP))
            if not pace.is_waiting(who):  # it has left meanwhile, or is gone
                return Slot(granted=False)

    def limited(self, name: str, report: ReportLimited) -> None:
        """Learn of a refusal."""
        wait = None if report.wait_ms is None else report.wait_ms / 1000
        if self._paces.refused(report.key, wait, report.serial, self._clock(), (name, report.ticket)):
            self._publish(RateLimited(key=report.key))

    def leave(self, name: str, question: LeaveQueue) -> None:
        """Give a place up."""
        pace = self._paces.find(question.key, self._clock())
        if pace is not None:
            pace.leave((name, question.ticket))

    def known(self) -> tuple[str, ...]:
        """Return the keys of the limits that are known."""
        return self._paces.known(self._clock())

    def standings(self) -> tuple[PaceStanding, ...]:
        """Return how the limits stand that are known, at most `MOST_PACES`."""
        figures = self._paces.figures(self._clock())[:MOST_PACES]
        return tuple(PaceStanding(**msgspec.structs.asdict(one)) for one in figures)

    def forget(self, name: str) -> None:
        """Give up the places of a worker that is gone."""
        self._paces.leave(lambda who: isinstance(who, tuple) and who[0] == name)
