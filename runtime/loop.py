"""The event loop of the long-lived processes: uvloop, at a third of what a wake-up costs on the loop of asyncio.

A process of a conversation is woken for each piece of text that its model writes, mostly from cold caches, where the
cost is that of the loop's own code (docs/decisions/0030-streaming.md).
"""

from collections.abc import Coroutine
from typing import TypeVar

import uvloop

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run a coroutine on a loop of its own, to its end."""
    return uvloop.run(main)
