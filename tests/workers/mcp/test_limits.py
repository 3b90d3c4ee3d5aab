"""A limit that stands still has as much left afterwards as before."""

import asyncio

import pytest

from greenroom.workers.mcp.limits import RequestDeadlines


def test_a_limit_ends_what_takes_too_long() -> None:
    async def test() -> None:
        with pytest.raises(TimeoutError):
            async with RequestDeadlines().limit(0.01):
                await asyncio.Event().wait()

    asyncio.run(test())


def test_a_limit_stands_still_while_any_question_is_open_and_then_goes_on() -> None:
    asked: list[str] = []

    async def work(limits: RequestDeadlines) -> None:
        async with limits.limit(0.05):
            with limits.standing_still():
                with limits.standing_still():
                    await asyncio.sleep(0.1)
                await asyncio.sleep(0.1)
            asked.append("both")
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(work(RequestDeadlines()))
    assert asked == ["both"]


def test_a_limit_that_begins_during_a_question_waits_for_its_end() -> None:
    async def test() -> None:
        limits = RequestDeadlines()
        with limits.standing_still():
            async with limits.limit(0.01):
                await asyncio.sleep(0.05)

    asyncio.run(test())
