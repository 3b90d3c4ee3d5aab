"""Jobs that clients keep open: what they are told and report, and that they wait for a client that does not read."""

import asyncio
from typing import cast

from greenroom.protocol.ids import NodeName, WorkerId
from greenroom.protocol.internal.jobs import CommandExec
from greenroom.protocol.internal.worker.notices import JobDone, Opened
from greenroom.protocol.internal.worker.operations import (
    Close,
    HoldEvents,
    Operation,
    RunJob,
    StopJob,
    TellJob,
    TurnSettings,
)
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.conversations.assignments import Workers
from greenroom.supervisor.conversations.jobs.jobs import Jobs
from greenroom.supervisor.conversations.state.turn import Nobody
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter
from tests.support.loop import on_loop

WORKER = WorkerId("w-1")
COMMAND = CommandExec(cwd=None, command=("true",), timeout_ms=None, environment={}, output_cap=None)


class Place:
    """Workers who come when the test says so, and what is sent to them."""

    def __init__(self, at_once: int = 2) -> None:
        self.sent: list[tuple[Operation, bytes]] = []
        self.orders: list[WorkerRequest] = []
        self.killed: list[WorkerId] = []
        self.jobs = Jobs(cast("WorkerRouter", self), cast("Workers", self), 60.0, at_once)

    obstacle = None

    has_nodes = False

    @staticmethod
    def room(only_here: int) -> int | None:
        return None

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        return None

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        pass

    def announced(self, worker_id: WorkerId, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        return notice, configured

    def take(self, order: WorkerRequest, wish: Wish = ON_HOST) -> None:
        self.orders.append(order)

    def withdraw(self, order: WorkerRequest) -> None:
        self.orders.remove(order)

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        self.killed.append(worker_id)

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return None

    def send(self, worker_id: WorkerId, operation: Operation, payload: bytes = b"") -> bool:
        self.sent.append((operation, payload))
        return True


class Reader(Nobody):
    """A client that reads, or does not."""

    is_reading = True


@on_loop
async def test_a_job_is_told_what_came_before_its_worker_and_then_in_order() -> None:
    place = Place()
    job = place.jobs.begin(COMMAND)
    place.jobs.tell(job, b"1")
    place.jobs.stop(job)
    place.orders.pop()(WORKER)
    place.jobs.tell(job, b"2")
    assert place.sent == [
        (RunJob(name="command-exec"), encode(COMMAND)),
        (TellJob(), b"1"),
        (StopJob(), b""),
        (TellJob(), b"2"),
    ]
    job.result.cancel()


@on_loop
async def test_reports_come_until_the_job_is_done() -> None:
    place, reports = Place(), list[bytes]()
    job = place.jobs.begin(COMMAND, None, reports.append)
    place.orders.pop()(WORKER)
    place.jobs.receive_report(WORKER, b"a")
    place.jobs.receive_report(WorkerId("other"), b"b")
    place.jobs.receive(WORKER, JobDone(), b"{}")
    place.jobs.receive_report(WORKER, b"c")
    assert (reports, await place.jobs.wait(job)) == ([b"a"], b"{}")
    assert place.sent[-1] == (Close(), b"")


@on_loop
async def test_a_job_waits_while_its_client_does_not_read() -> None:
    place, reader, other = Place(), Reader(), Reader()
    reader.is_reading = False
    job = place.jobs.begin(COMMAND, reader, lambda _: None)
    place.orders.pop()(WORKER)
    assert place.sent[-1] == (HoldEvents(hold=True), b"")
    count = len(place.sent)
    place.jobs.follow_reader(other)
    place.jobs.follow_reader(reader)
    assert len(place.sent) == count
    reader.is_reading = True
    place.jobs.follow_reader(reader)
    assert place.sent[-1] == (HoldEvents(hold=False), b"")
    job.result.cancel()


@on_loop
async def test_a_job_that_is_given_up_ends_with_its_worker() -> None:
    place = Place()
    waiting = asyncio.create_task(place.jobs.run(COMMAND))
    await asyncio.sleep(0)
    place.orders.pop()(WORKER)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert place.killed == [WORKER]
