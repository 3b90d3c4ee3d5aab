"""A few threads for calls that block, which nothing has to wait for: unlike those of `concurrent.futures` they are not
joined when the process ends, so a file system that never answers does not keep it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

BlockingCall: TypeAlias = Callable[[], None]


class DaemonThreads:
    """At most `most` threads, started when they are needed. Belongs to the running loop."""

    def __init__(self, most: int, name: str) -> None:
        self._most: Final = most
        self._name: Final = name
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[tuple[BlockingCall, BlockingCall] | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0

    def submit(self, work: BlockingCall, done: BlockingCall) -> None:
        """Have a thread call `work`, which must not raise, and the loop `done` afterwards."""
        self._idle -= 1
        if self._idle < 0 and self._threads < self._most:
            self._threads += 1
            self._idle += 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._calls.put((work, done))

    def close(self) -> None:
        """Let the threads end, once what was submitted is done."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _run(self) -> None:
        while (found := self._calls.get()) is not None:
            work, done = found
            work()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                self._loop.call_soon_threadsafe(self._finish, done)

    def _finish(self, done: BlockingCall) -> None:
        self._idle += 1
        done()
