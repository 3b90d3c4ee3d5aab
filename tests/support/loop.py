"""Runs a test on a new event loop."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

TIMEOUT = 20.0


def on_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine. Its tasks must have ended when it returns."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def body() -> None:
            async with asyncio.timeout(TIMEOUT):
                await test(*args, **kwargs)

        asyncio.run(body(), debug=False)

    return run


async def turns(count: int = 20) -> None:
    """Let the loop run what is ready, so often; what lies in a pipe or is due by now is found the first time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Run other callbacks of the loop until a condition holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.001)
