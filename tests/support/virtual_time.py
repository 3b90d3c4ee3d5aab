"""A loop whose waits take no time: for tests of what happens after seconds, where nothing but timers is waited for."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer as soon as nothing else is to be done, and stands still until then.

    A peer that answers over a pipe or a socket is not waited for: the next time limit passes at once.
    """

    def __init__(self) -> None:
        self._skipped = 0.0
        super().__init__(_Impatient(self._skip))

    def time(self) -> float:
        return self._skipped

    def _skip(self, seconds: float) -> None:
        self._skipped += seconds


class _Impatient(selectors.DefaultSelector):
    """Looks, and skips the time for which it should have waited."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(0)
        if not found:
            self._skip(timeout)
        return found


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Let a coroutine be a test on such a loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
