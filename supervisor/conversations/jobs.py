"""Has things done by workers that have no conversation: one worker for each, which does it and leaves."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker import Close, ErrandDone, ErrandName, RunErrand, StopErrand
from greenroom.supervisor.processes import exits as death
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Errands that have a worker at a time; further ones wait."""
LEAVE_PATIENCE: Final = 2.0
"""Seconds in which a worker whose errand is over has to be gone before it is killed."""
GONE: Final = "its process died"


class ErrandFailedError(Exception):
    """The errand came to nothing; the text says why."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Workers(Protocol):
    """Where workers come from."""

    def take(self, order: WorkerRequest) -> None:
        """Give a worker to `order`, now or later."""

    def kill(self, worker_id: WorkerId) -> None:
        """End a worker at once."""


@dataclass(slots=True, eq=False)
class Errand:
    """One thing to do. `result` is its result as JSON, or raises `ErrandFailedError`."""

    name: ErrandName
    params: bytes
    result: asyncio.Future[bytes]
    worker_id: WorkerId | None = None
    stopped: bool = False


class Errands:
    """The errands of one instance. Runs on the supervisor's loop."""

    def __init__(self, mailroom: WorkerRouter, workers: Workers) -> None:
        self._mailroom = mailroom
        self._workers = workers
        self._waiting: deque[Errand] = deque()
        self._placed: set[Errand] = set()
        self._running: dict[WorkerId, Errand] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self, name: ErrandName, params: bytes) -> bytes:
        """Have it done and return its result. Raises `ErrandFailedError`; cancelling this ends the errand."""
        return await self.wait(self.begin(name, params))

    def begin(self, name: ErrandName, params: bytes) -> Errand:
        """Begin it; `wait` for it afterwards."""
        errand = Errand(name, params, self._loop.create_future())
        self._waiting.append(errand)
        self._place()
        return errand

    async def wait(self, errand: Errand) -> bytes:
        """Return the result of what was begun. Raises `ErrandFailedError`; cancelling this ends the errand."""
        try:
            return await errand.result
        finally:
            if errand.result.cancelled():
                self._abandon(errand)

    def stop(self, errand: Errand) -> None:
        """Have it end with what it has so far."""
        errand.stopped = True
        if errand.worker_id is not None:
            self._mailroom.send(errand.worker_id, StopErrand())

    def receive(self, worker_id: WorkerId, done: ErrandDone, result: bytes) -> None:
        """Take the end of an errand."""
        errand = self._running.get(worker_id)
        if errand is None or errand.result.done():
            return
        if done.failure is None:
            errand.result.set_result(result)
        else:
            errand.result.set_exception(ErrandFailedError(done.failure, done.error_kind or "internal"))
        self._mailroom.send(worker_id, Close())
        self._loop.call_later(LEAVE_PATIENCE, self._insist, worker_id)

    def lost(self, exited: Exited, reason: str | None) -> bool:
        """Take notice that a process ended, and why if we know it; return whether it had an errand."""
        errand = self._running.pop(exited.id, None)
        if errand is None:
            return False
        if not errand.result.done():
            why = reason or death.cause(exited)
            log.error("errand %s: its worker %d died (%s)", errand.name, exited.pid, why)
            errand.result.set_exception(ErrandFailedError(f"{GONE} ({why})", "worker_crashed"))
        self._release(errand)
        return True

    def _place(self) -> None:
        while self._waiting and len(self._placed) < AT_ONCE:
            errand = self._waiting.popleft()
            self._placed.add(errand)
            self._workers.take(partial(self._assign, errand))

    def _assign(self, errand: Errand, worker_id: WorkerId) -> None:
        errand.worker_id = worker_id
        self._running[worker_id] = errand
        if errand.result.done() or not self._mailroom.send(worker_id, RunErrand(name=errand.name), errand.params):
            self._workers.kill(worker_id)
        elif errand.stopped:
            self._mailroom.send(worker_id, StopErrand())

    def _abandon(self, errand: Errand) -> None:
        if errand.worker_id is not None:
            self._workers.kill(errand.worker_id)
        elif errand in self._waiting:
            self._waiting.remove(errand)

    def _release(self, errand: Errand) -> None:
        self._placed.discard(errand)
        self._place()

    def _insist(self, worker_id: WorkerId) -> None:
        if worker_id in self._running:
            log.warning("worker %s did not leave after its errand; killing it", worker_id)
            self._workers.kill(worker_id)
