"""The end of the process without waiting for threads that read or write files: a disk may be slow, or gone."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any


def run_without_threads(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as `asyncio.run` does, but do not wait for the threads of its loop's executor at the end."""
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(main)


def end_despite_threads(status: int) -> None:
    """End the process with a status if a thread works on; Python would wait for it."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        return
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.shutdown_default_executor = _wait_for_none  # type: ignore[method-assign]
    return loop


async def _wait_for_none(timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in asyncio
    """Do not wait: the threads end by themselves, or with the process."""
