"""A limit that stands still has as much left afterwards as before."""

import asyncio

import pytest

from greenroom.workers.mcp.limits import RequestDeadlines
from tests.support.virtual_time import in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_limit_ends_what_takes_too_long() -> None:
    begun = now()
    with pytest.raises(TimeoutError):
        async with RequestDeadlines().limit(10.0):
            await asyncio.Event().wait()
    assert now() - begun == pytest.approx(10.0, abs=0.1)


@in_virtual_time
async def test_a_limit_stands_still_while_any_question_is_open_and_then_goes_on() -> None:
    limits, begun = RequestDeadlines(), now()

    async def work() -> None:
        async with limits.limit(10.0):
            await asyncio.sleep(4.0)
            with limits.standing_still():
                with limits.standing_still():
                    await asyncio.sleep(100.0)
                await asyncio.sleep(100.0)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert now() - begun == pytest.approx(210.0, abs=0.1)


@in_virtual_time
async def test_a_limit_that_begins_during_a_question_waits_for_its_end() -> None:
    limits, begun = RequestDeadlines(), now()

    async def ask() -> None:
        with limits.standing_still():
            await asyncio.sleep(100.0)

    question = asyncio.create_task(ask())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with limits.limit(10.0):
            await asyncio.Event().wait()
    assert now() - begun == pytest.approx(110.0, abs=0.1)
    await question
