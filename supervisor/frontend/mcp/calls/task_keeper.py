"""The tasks of all clients of one server. They belong to its user: any client finds them by their ids.

The record of a task is on the disk before a client knows of it, and again when it ends, so that any later run of the
server can report its outcome. Records are written by one thread, in order.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import msgspec

from greenroom.protocol.ids import uuid7
from greenroom.protocol.mcp import tasks
from greenroom.protocol.mcp.handshake import failure_result
from greenroom.protocol.mcp.tasks import TaskRecord
from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall
from greenroom.supervisor.frontend.mcp.calls.task_store import TaskStore

log = logging.getLogger(__name__)
T = TypeVar("T")

TaskListener: TypeAlias = Callable[[str, Mapping[str, object]], None]
"""Called with the id of a task and what clients see of it."""


class LiveTask:
    """A task whose turn belongs to this server."""

    def __init__(self, record: TaskRecord, call: MultiRoundCall, on_change: Callable[["LiveTask"], None]) -> None:
        self.record = record
        self.call = call
        self.owner: Client | None = call.client
        """The client that has made it, `None` once that has left."""
        self.is_to_stop = False
        """Whether its client has cancelled it."""
        self._on_change = on_change

    def creation(self) -> bytes:
        """Return the result that announces the task to the client."""
        return tasks.creation_result(self.record)

    def doing(self, what: str) -> None:
        """Handle a sign of life."""
        if self.record.status == "working" and self.record.message != what:
            self.record = msgspec.structs.replace(self.record, message=what)

    def changed(self) -> None:
        """Handle that the call's questions have changed, or that it has ended."""
        now, call = time.time(), self.call
        if call.result is None:
            if call.questions.keys() == self.record.questions.keys():
                return
            self.record = tasks.waiting(self.record, call.questions, now)
        elif call.was_aborted and self.is_to_stop:
            self.record = tasks.cancelled(self.record, now)
        else:
            self.record = tasks.completed(self.record, call.result, now)
        self._on_change(self)


class TaskKeeper:
    """The tasks that are under way, and the records of all. Must be made on the running loop; `close` it at the end."""

    def __init__(self, store: TaskStore) -> None:
        self.live: dict[str, LiveTask] = {}
        """Those under way, by their ids."""
        self.listeners: set[TaskListener] = set()
        """Called with each change."""
        self._store = store
        self._disk = ThreadPoolExecutor(1, "tasks")
        self._jobs: set[asyncio.Task[None]] = set()

    @property
    def orphans(self) -> int:
        """Number of tasks under way whose client has left."""
        return sum(live.owner is None and not live.record.has_ended for live in self.live.values())

    def adopt(self, call: MultiRoundCall) -> asyncio.Task[None] | None:
        """Make a call a task, if a request waits for it; the job that is returned answers the request."""
        return self._in_background(self._make(call)) if call.hold() else None

    async def look_up(self, task_id: str) -> TaskRecord | None:
        """Return the record of a task on the disk, if there is one."""
        return await self._on_disk(self._read, task_id)

    async def close(self) -> None:
        """Wait until everything is on the disk. All turns must have ended."""
        while self._jobs:
            await asyncio.wait(self._jobs)
        self._disk.shutdown()

    async def _make(self, call: MultiRoundCall) -> None:
        now = time.time()
        record = TaskRecord(uuid7(), call.conversation_id, runs.THIS, now, now)
        try:
            await self._on_disk(self._store.write, record)
        except OSError as error:
            log.error("a call cannot go on as a task (%s), so its client waits for it", error)
            call.stay()
            return
        live = self.live[record.id] = LiveTask(record, call, self._changed)
        call.become(live)
        await self._on_disk(self._store.remove_old, _is_over)

    def _changed(self, live: LiveTask) -> None:
        for listener in tuple(self.listeners):
            listener(live.record.id, tasks.task_form(live.record))
        self._in_background(self._save(live.record))

    async def _save(self, record: TaskRecord) -> None:
        try:
            await self._on_disk(self._store.write, record)
        except OSError as error:
            log.error("task %s cannot be kept (%s), and ends with this run", record.id, error)
            return
        if record.has_ended:
            self.live.pop(record.id, None)

    def _read(self, task_id: str) -> TaskRecord | None:
        """Return the record on the disk; a task whose run has ended without a result is given one."""
        record = self._store.read(task_id)
        if record is None or record.has_ended or runs.lasts(record.run):
            return record
        failure = runs.interrupted("while the task was under way")
        record = tasks.completed(record, failure_result(failure, record.conversation_id), time.time())
        try:
            self._store.write(record)
        except OSError as error:
            log.warning("the end of task %s cannot be kept: %s", record.id, error)
        return record

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def _in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job


def _is_over(record: TaskRecord) -> bool:
    """Tell whether a task that has not changed for long can be removed."""
    return record.is_forgotten(time.time()) or not (record.has_ended or runs.lasts(record.run))
