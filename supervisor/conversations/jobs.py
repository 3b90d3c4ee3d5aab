"""Runs jobs in workers without a conversation: one worker for each job, which exits after it."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker import Close, JobDone, JobName, RunJob, StopJob
from greenroom.supervisor.conversations.assignments import Workers
from greenroom.supervisor.processes import exits as death
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Jobs that have a worker at a time; further ones wait."""
LEAVE_TIMEOUT: Final = 2.0
"""Seconds that a worker has to exit after its job, before it is killed."""
GONE: Final = "its process died"


class JobFailedError(Exception):
    """The job failed; the text says why."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(slots=True, eq=False)
class Job:
    """One job. `result` is a future of its result as JSON, or of `JobFailedError`."""

    name: JobName
    params: bytes
    result: asyncio.Future[bytes]
    worker_id: WorkerId | None = None
    order: WorkerRequest | None = None
    """Its order of a worker, until that is fulfilled."""
    deadline: asyncio.TimerHandle | None = None
    """End of its time to wait for a worker."""
    stopped: bool = False


class Jobs:
    """The jobs of one instance. Runs on the supervisor's loop."""

    def __init__(self, router: WorkerRouter, workers: Workers, start_timeout: float) -> None:
        """A job waits for a worker for `start_timeout` seconds at most."""
        self._timeout = start_timeout
        self._router = router
        self._workers = workers
        self._waiting: deque[Job] = deque()
        self._placed: set[Job] = set()
        self._running: dict[WorkerId, Job] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self, name: JobName, params: bytes) -> bytes:
        """Run a job and return its result. Raises `JobFailedError`; cancelling this stops the job."""
        return await self.wait(self.begin(name, params))

    def begin(self, name: JobName, params: bytes) -> Job:
        """Start a job; `wait` for it afterwards."""
        job = Job(name, params, self._loop.create_future())
        self._waiting.append(job)
        self._place()
        return job

    async def wait(self, job: Job) -> bytes:
        """Return the result of a started job. Raises `JobFailedError`; cancelling this stops the job."""
        try:
            return await job.result
        finally:
            if job.result.cancelled():
                self._abandon(job)

    def stop(self, job: Job) -> None:
        """Stop a job; it returns what it has so far."""
        job.stopped = True
        if job.worker_id is not None:
            self._router.send(job.worker_id, StopJob())

    def receive(self, worker_id: WorkerId, done: JobDone, result: bytes) -> None:
        """Handle the end of a job."""
        job = self._running.get(worker_id)
        if job is None or job.result.done():
            return
        if done.failure is None:
            job.result.set_result(result)
        else:
            job.result.set_exception(JobFailedError(done.failure, done.error_kind or "internal"))
        self._router.send(worker_id, Close())
        self._loop.call_later(LEAVE_TIMEOUT, self._insist, worker_id)

    def lost(self, exited: Exited, reason: str | None) -> bool:
        """Handle the end of a process, and its reason if known; return whether it had a job."""
        job = self._running.pop(exited.id, None)
        if job is None:
            return False
        if not job.result.done():
            why = reason or death.cause(exited)
            log.error("job %s: its worker %d died (%s)", job.name, exited.pid, why)
            job.result.set_exception(JobFailedError(f"{GONE} ({why})", "worker_crashed"))
        self._release(job)
        return True

    def fail_waiting(self, why: str) -> None:
        """Fail all jobs that wait for a worker, since none can be started."""
        for job in list(self._placed):
            self._wait_no_longer(job, why)

    def _place(self) -> None:
        while self._waiting and len(self._placed) < AT_ONCE:
            job = self._waiting.popleft()
            self._placed.add(job)
            job.order = partial(self._assign, job)
            late = f"after {self._timeout:g} s"
            job.deadline = self._loop.call_later(self._timeout, self._wait_no_longer, job, late)
            self._workers.take(job.order)

    def _wait_no_longer(self, job: Job, why: str) -> None:
        """Fail a job that has no worker yet."""
        if job.order is None or job not in self._placed:
            return
        self._workers.withdraw(job.order)
        job.order = None
        if not job.result.done():
            job.result.set_exception(JobFailedError(f"there is no process for it ({why})", "start_failed"))
        self._release(job)

    def _assign(self, job: Job, worker_id: WorkerId) -> None:
        job.worker_id, job.order = worker_id, None
        if job.deadline is not None:
            job.deadline.cancel()
        self._running[worker_id] = job
        if job.result.done() or not self._router.send(worker_id, RunJob(name=job.name), job.params):
            self._workers.kill(worker_id)
        elif job.stopped:
            self._router.send(worker_id, StopJob())

    def _abandon(self, job: Job) -> None:
        if job.worker_id is not None:
            self._workers.kill(job.worker_id)
        elif job in self._waiting:
            self._waiting.remove(job)
        else:
            self._wait_no_longer(job, "given up")

    def _release(self, job: Job) -> None:
        self._placed.discard(job)
        self._place()

    def _insist(self, worker_id: WorkerId) -> None:
        if worker_id in self._running:
            log.warning("worker %s did not leave after its job; killing it", worker_id)
            self._workers.kill(worker_id)
