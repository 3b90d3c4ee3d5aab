"""Runs jobs in workers without a conversation: one worker for each job, which exits after it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.notices import JobDone
from greenroom.protocol.internal.worker.operations import Close, HoldEvents, RunJob, StopJob, TellJob
from greenroom.supervisor.conversations.assignments import Workers
from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.processes import exits as death
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

if TYPE_CHECKING:
    from greenroom.protocol.internal.jobs import JobParams

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


class Job(msgspec.Struct, eq=False):
    """One job. `result` is a future of its result as JSON, or of `JobFailedError`."""

    name: str
    params: bytes
    result: asyncio.Future[bytes]
    worker_id: WorkerId | None = None
    order: WorkerRequest | None = None
    """Its order of a worker, until that is fulfilled."""
    deadline: asyncio.TimerHandle | None = None
    """End of its time to wait for a worker."""
    stopped: bool = False
    client: Client | None = None
    """Who is told what it reports; it waits while that client does not read."""
    on_report: Callable[[bytes], None] | None = None
    is_held: bool = False
    """Whether its worker has been told to report nothing for now."""
    untold: list[bytes] = msgspec.field(default_factory=list)
    """What it is told once it has a worker."""


class Jobs:
    """The jobs of one instance. Runs on the supervisor's loop."""

    def __init__(
        self,
        router: WorkerRouter,
        workers: Workers,
        start_timeout: float,
        at_once: int = AT_ONCE,
        config_overrides: tuple[str, ...] = (),
    ) -> None:
        """A job waits for a worker for `start_timeout` seconds at most; `at_once` jobs have one at a time.

        `config_overrides` are the assignments of `-c` with which the server was started.
        """
        self._config_overrides = config_overrides
        self._timeout = start_timeout
        self._at_once = at_once
        self._router = router
        self._workers = workers
        self._waiting: deque[Job] = deque()
        self._placed: set[Job] = set()
        self._running: dict[WorkerId, Job] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self, params: "JobParams") -> bytes:
        """Run a job and return its result. Raises `JobFailedError`; cancelling this stops the job."""
        return await self.wait(self.begin(params))

    def begin(
        self,
        params: "JobParams",
        client: Client | None = None,
        on_report: Callable[[bytes], None] | None = None,
    ) -> Job:
        """Start a job; `wait` for it afterwards. What it reports meanwhile goes to `on_report`."""
        job = Job(
            params.job, msgspec.json.encode(params), self._loop.create_future(), client=client, on_report=on_report
        )
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

    def tell(self, job: Job, what: bytes) -> None:
        """Tell a job something, a JSON object."""
        if job.worker_id is None:
            job.untold.append(what)
        else:
            self._router.send(job.worker_id, TellJob(), what)

    def follow_reader(self, client: Client) -> None:
        """Let the jobs of a client wait while it does not read (`Client.is_reading`)."""
        for job in self._running.values():
            if job.client is client:
                self._hold(job)

    def receive_report(self, worker_id: WorkerId, report: bytes) -> None:
        """Handle what a job reports."""
        job = self._running.get(worker_id)
        if job is not None and job.on_report is not None and not job.result.done():
            job.on_report(report)

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
        while self._waiting and len(self._placed) < self._at_once:
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
        operation = RunJob(name=job.name, config_overrides=self._config_overrides)
        if job.result.done() or not self._router.send(worker_id, operation, job.params):
            self._workers.kill(worker_id)
            return
        self._hold(job)
        untold, job.untold = job.untold, []
        for what in untold:
            self.tell(job, what)
        if job.stopped:
            self._router.send(worker_id, StopJob())

    def _hold(self, job: Job) -> None:
        is_unread = job.client is not None and not job.client.is_reading
        if is_unread != job.is_held and job.worker_id is not None:
            job.is_held = is_unread
            self._router.send(job.worker_id, HoldEvents(hold=is_unread))

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
