"""Tool calls that take long continue as tasks (the extension `io.modelcontextprotocol/tasks`).

A client that declared the extension gets the task instead of the result once its call has lasted for a while; shorter
calls are answered as usual. The record of a task is on the disk before the client knows of it, and again when it ends,
so that any later run of the server can report its outcome. Records are written by one thread, in order.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from greenroom.protocol.ids import uuid7
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Request
from greenroom.protocol.mcp import tasks
from greenroom.protocol.mcp.handshake import failure_result
from greenroom.protocol.mcp.stateless import MISSING_CLIENT_CAPABILITY, TASKS
from greenroom.protocol.mcp.tasks import TaskParams, TaskRecord
from greenroom.supervisor.conversations.turn import Turn
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.multi_round_call import MultiRoundCall
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.frontend.mcp.task_store import TaskStore
from greenroom.supervisor.frontend.request_params import RefusedError, read_params

log = logging.getLogger(__name__)
T = TypeVar("T")


class LiveTask:
    """A task whose turn belongs to this connection."""

    def __init__(self, record: TaskRecord, call: MultiRoundCall, on_change: Callable[["LiveTask"], None]) -> None:
        self.record = record
        self.call = call
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


class Tasks:
    """The tasks of one connection, and those of other runs that it asks about."""

    def __init__(
        self,
        channel: ClientChannel,
        store: TaskStore,
        subscriptions: Subscriptions,
        interrupt: Callable[[Turn], None],
        timeout_s: float,
    ) -> None:
        """A call becomes a task after `timeout_s` seconds."""
        self._channel = channel
        self._store = store
        self._subscriptions = subscriptions
        self._interrupt = interrupt
        self._timeout = timeout_s
        self._live: dict[str, LiveTask] = {}
        self._disk = ThreadPoolExecutor(1, "tasks")
        self._jobs: set[asyncio.Task[None]] = set()
        self.handlers = {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}

    @property
    def live(self) -> int:
        """Number of tasks under way."""
        return len(self._live)

    def watch(self, call: MultiRoundCall) -> asyncio.TimerHandle:
        """Make a call a task if it takes long."""
        return asyncio.get_running_loop().call_later(self._timeout, self._adopt, call)

    async def close(self) -> None:
        """Wait until everything is on the disk."""
        while self._jobs:
            await asyncio.wait(self._jobs)
        self._disk.shutdown()

    def _adopt(self, call: MultiRoundCall) -> None:
        if call.hold():
            self._in_background(self._make(call))

    async def _make(self, call: MultiRoundCall) -> None:
        now = time.time()
        record = TaskRecord(uuid7(), call.conversation_id, runs.THIS, now, now)
        try:
            await self._on_disk(self._store.write, record)
        except OSError as error:
            log.error("a call cannot go on as a task (%s), so its client waits for it", error)
            call.stay()
            return
        live = self._live[record.id] = LiveTask(record, call, self._changed)
        call.become(live)
        await self._on_disk(self._store.remove_old, _is_over)

    def _changed(self, live: LiveTask) -> None:
        self._subscriptions.task_changed(live.record.id, tasks.described(live.record))
        self._in_background(self._save(live.record))

    async def _save(self, record: TaskRecord) -> None:
        try:
            await self._on_disk(self._store.write, record)
        except OSError as error:
            log.error("task %s cannot be kept (%s), and ends with this run", record.id, error)
            return
        if record.has_ended:
            self._live.pop(record.id, None)

    # Requests of clients

    def _get(self, request: Request) -> None:
        def tell(record: TaskRecord) -> None:
            self._channel.respond(request, msgspec.json.encode(tasks.described(record)))

        self._find(request, lambda live, _: tell(live.record), tell)

    def _update(self, request: Request) -> None:
        def take(live: LiveTask, params: TaskParams) -> None:
            self._channel.respond(request, b"{}")
            live.call.proceed(params.input_responses)

        self._find(request, take, lambda record: self._acknowledge(request, record))

    def _cancel(self, request: Request) -> None:
        def stop(live: LiveTask, _: TaskParams) -> None:
            self._channel.respond(request, b"{}")
            live.is_to_stop = True
            if live.call.turn is not None:
                self._interrupt(live.call.turn)

        self._find(request, stop, lambda record: self._acknowledge(request, record))

    def _acknowledge(self, request: Request, record: TaskRecord) -> None:
        """Answer a request to change a task of another run: an ended task cannot change."""
        if record.has_ended:
            self._channel.respond(request, b"{}")
        else:
            text = f"task {record.id} works in another process of the server ({runs.name(record.run)})"
            self._channel.fail(request, INTERNAL_ERROR, text)

    def _find(
        self,
        request: Request,
        on_live: Callable[[LiveTask, TaskParams], None],
        on_record: Callable[[TaskRecord], None],
    ) -> None:
        """Choose the handler of a request: for a live task, or for a record on the disk."""
        envelope = self._channel.peer.envelope_of(request)
        if envelope is None or not envelope.has_extension(TASKS):
            raise RefusedError(MISSING_CLIENT_CAPABILITY, tasks.MISSING.text, tasks.MISSING.facts)
        params = read_params(request, tasks.decode_params)
        live = self._live.get(params.task_id)
        if live is not None:
            on_live(live, params)
        else:
            self._in_background(self._find_on_disk(request, params.task_id, on_record))

    async def _find_on_disk(self, request: Request, task_id: str, on_record: Callable[[TaskRecord], None]) -> None:
        record = await self._on_disk(self._look_up, task_id)
        if record is None:
            self._channel.fail(request, INVALID_PARAMS, "there is no such task, or its time is over")
        else:
            on_record(record)

    def _look_up(self, task_id: str) -> TaskRecord | None:
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

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)


def _is_over(record: TaskRecord) -> bool:
    """Tell whether a task that has not changed for long can be removed."""
    return record.is_forgotten(time.time()) or not (record.has_ended or runs.lasts(record.run))
