"""A timer calls back after its first period and after each further one, until it is stopped."""

import asyncio

from greenroom.workers.repeating_timer import RepeatingTimer
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_it_calls_back_until_it_is_stopped() -> None:
    loop, seen = asyncio.get_running_loop(), list[float]()
    begun = loop.time()
    timer = RepeatingTimer(lambda: seen.append(round(loop.time() - begun, 3)), 2.0)
    await asyncio.sleep(7.0)
    timer.stop()
    await asyncio.sleep(10.0)
    assert seen == [2.0, 4.0, 6.0]


@in_virtual_time
async def test_it_goes_on_after_a_call_that_fails() -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    timer = RepeatingTimer(lambda: list[int]().remove(0), 1.0)
    await asyncio.sleep(3.5)
    timer.stop()
    assert [type(error) for error in errors] == [ValueError] * 3


@in_virtual_time
async def test_it_can_be_stopped_by_its_own_call() -> None:
    calls: list[None] = []

    def once() -> None:
        calls.append(None)
        timer.stop()

    timer = RepeatingTimer(once, 1.0)
    await asyncio.sleep(5)
    assert len(calls) == 1
