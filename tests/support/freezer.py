"""Stops every child of a process as soon as it appears, so that a test sees what works without them."""

import contextlib
import signal
import threading
from types import TracebackType
from typing import Self

import psutil

PAUSE = 0.001
"""Seconds between two checks; a child takes a hundred times as long before it does anything."""


class Freezer:
    """Active within its context; all children continue afterwards."""

    def __init__(self, pid: int) -> None:
        self._parent = psutil.Process(pid)
        self._frozen: set[psutil.Process] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="freezer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for child in self._frozen:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGCONT)

    def _work(self) -> None:
        while not self._over.wait(PAUSE):
            with contextlib.suppress(psutil.Error):
                for child in set(self._parent.children()) - self._frozen:
                    self._freeze(child)

    def _freeze(self, child: psutil.Process) -> None:
        if child.cmdline() != self._parent.cmdline():  # before its exec the child still runs the parent's program
            child.send_signal(signal.SIGSTOP)
            self._frozen.add(child)
