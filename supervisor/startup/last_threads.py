"""The end of the process without waiting for threads that read or write files: a disk may be slow, or gone."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any


def run_without_threads(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as `asyncio.run` does, but do not wait for the threads of its loop's executor at the end.

    Signals that the loop has handled are ignored from then on: the process ends anyway, and with its own status.
    """
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(main)


def end_despite_threads(status: int) -> None:
    """End the process with a status if a thread works on; Python would wait for it."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        return
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


class _Loop(asyncio.SelectorEventLoop):
    """Ends without waiting."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in asyncio
        """Wait for nothing: the threads end by themselves, or with the process."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Ignore a signal from now on."""
        was_handled = super().remove_signal_handler(sig)
        if was_handled:
            signal.signal(sig, signal.SIG_IGN)
        return was_handled
