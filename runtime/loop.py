"""The event loop of the long-lived processes: uvloop, at a third of what a wake-up costs on the loop of asyncio.

The process of a conversation is woken for each piece of text that its model writes, mostly with cold caches, where the
cost is that of the loop's own code (docs/decisions/0029-streaming.md).
"""

import signal
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine on a loop of its own, to its end. Call it on the main thread.

    The descriptor that signals wake is afterwards what it was. uvloop takes it over for the time of its run, so the
    caller has to look itself for what signals have told meanwhile.
    """
    wakeup = signal.set_wakeup_fd(-1)
    try:
        return uvloop.run(main)
    finally:
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
