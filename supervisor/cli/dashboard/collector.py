"""Looks at the instances for all pages together, and only while one of them waits for news.

A page that sleeps, is gone, or does not read waits for nothing. What it has missed is not queued: it is told the
difference between what it was told last and what is so now.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from greenroom.supervisor.cli.dashboard.samples import Curves, Samples
from greenroom.supervisor.cli.dashboard.snapshot import snapshot
from greenroom.supervisor.cli.dashboard.tables import EMPTY, DashboardTables, TableChanges, changes_between
from greenroom.supervisor.cli.status.overview import Overview

EVERY: Final = 1.0
"""Seconds between two looks."""
SHARE: Final = 0.25
"""The part of the time that looking may take: the longer a look takes, the longer is the pause after it."""
LONGEST_PAUSE: Final = 10.0

Look = Callable[[], Overview]


class News(NamedTuple):
    """What a page is told at a time."""

    at: float
    """When the instances were looked at, in seconds since the epoch."""
    changes: TableChanges
    curves: Curves | None
    """The samples so far; only of the first news, which are all that is known."""


class Collector:
    """One for all pages. `run` it as a task."""

    def __init__(self, look: Look, every: float = EVERY) -> None:
        """`look` is called on another thread, one call at a time."""
        self._look, self._every = look, every
        self._samples = Samples()
        self._tables: DashboardTables = EMPTY
        self._at = 0.0
        self._waiting: set[asyncio.Future[None]] = set()
        self._wanted = asyncio.Event()
        self._fresh_until = 0.0
        self.looks = 0
        """How often the instances were looked at."""

    async def run(self) -> None:
        """Look while a page waits, until cancelled. Raises what looking raises."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            begun = loop.time()
            self._take(await asyncio.to_thread(self._look))
            now = loop.time()
            pause = min(max(self._every, (now - begun) / SHARE), LONGEST_PAUSE)
            self._fresh_until = begun + pause
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._wanted.clear()
            await asyncio.sleep(max(self._fresh_until - now, 0.0))

    def reader(self) -> "NewsReader":
        """Return what one page reads."""
        return NewsReader(self)

    @property
    def state(self) -> tuple[float, DashboardTables]:
        """When the instances were looked at last, and what was seen."""
        return self._at, self._tables

    @property
    def is_fresh(self) -> bool:
        """Whether looking again would be too early."""
        return asyncio.get_running_loop().time() < self._fresh_until

    def curves(self) -> Curves:
        """Return the samples so far."""
        return self._samples.curves()

    async def news(self) -> None:
        """Return after the next look."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        self._wanted.set()
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)

    def _take(self, overview: Overview) -> None:
        self._tables = snapshot(overview, self._tables)
        self._samples.add(self._tables)
        self._at = overview.at
        self.looks += 1


class NewsReader:
    """One page's reading."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._told: DashboardTables | None = None

    async def next(self) -> News:
        """Return what has changed, after the next look; the first time all that is known, at once if it is fresh."""
        is_first = self._told is None
        if not (is_first and self._collector.is_fresh):
            await self._collector.news()
        at, tables = self._collector.state
        before, self._told = self._told or EMPTY, tables
        return News(at, changes_between(before, tables), self._collector.curves() if is_first else None)
