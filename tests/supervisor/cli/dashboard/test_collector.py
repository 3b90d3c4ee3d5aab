"""Instances are looked at once for all pages, and only while one of them waits."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from greenroom.supervisor.cli.dashboard.collector import Collector
from greenroom.supervisor.cli.dashboard.tables import EMPTY, DashboardTables, apply_changes
from greenroom.supervisor.cli.status.overview import Overview
from tests.supervisor.cli.dashboard import scenes


def play(scene: Callable[[Collector], Awaitable[None]], look: Callable[[], Overview], every: float = 0.01) -> None:
    async def run() -> None:
        collector = Collector(look, every)
        collecting = asyncio.ensure_future(collector.run())
        try:
            async with asyncio.timeout(30):
                await scene(collector)
        finally:
            collecting.cancel()
            await asyncio.wait({collecting})

    asyncio.run(run())


def test_many_pages_cost_one_look_and_no_page_costs_none() -> None:
    async def scene(collector: Collector) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        assert collector.looks == 0
        readers = [collector.reader() for _ in range(5)]
        first = await asyncio.gather(*(reader.next() for reader in readers))
        assert collector.looks == 1
        assert all(news == first[0] for news in first)
        assert first[0].curves is not None
        second = await asyncio.gather(*(reader.next() for reader in readers))
        assert collector.looks == 2
        assert [news.changes for news in second] == [{}] * 5
        await asyncio.sleep(0.1)  # ten times the pause: nobody waits, and nothing is looked at
        assert collector.looks == 2

    play(scene, scenes.busy)


def test_a_page_that_comes_while_what_is_known_is_fresh_is_told_at_once() -> None:
    async def scene(collector: Collector) -> None:
        await collector.reader().next()
        news = await collector.reader().next()
        assert collector.looks == 1
        assert "conversations" in news.changes

    play(scene, scenes.busy, every=60.0)


def test_a_page_that_has_slept_is_told_the_difference_to_what_it_knows() -> None:
    states = iter([scenes.busy(), scenes.crowd(), scenes.one(), scenes.busy(), scenes.idle()])

    async def scene(collector: Collector) -> None:
        sleepy, lively = collector.reader(), collector.reader()
        held: DashboardTables = EMPTY
        first, _ = await asyncio.gather(sleepy.next(), lively.next())
        held = apply_changes(held, first.changes)
        for _ in range(3):
            await lively.next()
        held = apply_changes(held, (await sleepy.next()).changes)
        assert held == collector.state[1]
        assert collector.looks == 5

    play(scene, lambda: next(states))


def test_a_fault_of_looking_ends_the_collector() -> None:
    def fail() -> Overview:
        raise ZeroDivisionError

    async def scene() -> None:
        collector = Collector(fail)
        reading = asyncio.ensure_future(collector.reader().next())
        with pytest.raises(ZeroDivisionError):
            await collector.run()
        reading.cancel()

    asyncio.run(scene())
