"""Tool calls that take long continue as tasks (the extension `io.modelcontextprotocol/tasks`).

A client that declared the extension gets the task instead of the result once its call has lasted for a while; shorter
calls are answered as usual. A task outlives the connection of the client that made it (`…frontend.mcp.task_keeper`).
"""

import asyncio
from collections.abc import Callable

import msgspec

from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Request
from greenroom.protocol.mcp import tasks
from greenroom.protocol.mcp.stateless import MISSING_CLIENT_CAPABILITY, TASKS
from greenroom.protocol.mcp.tasks import TaskParams, TaskRecord
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall
from greenroom.supervisor.frontend.mcp.calls.relayed_requests import RelayedRequests
from greenroom.supervisor.frontend.mcp.calls.task_keeper import LiveTask, TaskKeeper
from greenroom.supervisor.frontend.mcp.subscriptions import Subscriptions
from greenroom.supervisor.frontend.request_params import RefusedError, read_params


class Tasks:
    """The tasks as one client handles them: its own, those of other clients, and those of other runs."""

    def __init__(
        self,
        channel: ClientChannel,
        keeper: TaskKeeper,
        subscriptions: Subscriptions,
        interrupt: Callable[[ConversationTurn], None],
        timeout_s: float,
        relayed: RelayedRequests,
    ) -> None:
        """A call becomes a task after `timeout_s` seconds. `relayed` takes requests for tasks of another host."""
        self._channel = channel
        self._keeper = keeper
        self._subscriptions = subscriptions
        self._interrupt = interrupt
        self._timeout = timeout_s
        self._relayed = relayed
        self._answering: set[asyncio.Task[None]] = set()
        """Jobs that answer a request of this client."""
        self.handlers = {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}
        keeper.listeners.add(subscriptions.task_changed)

    @property
    def live(self) -> int:
        """Number of tasks under way that this client has made."""
        return sum(live.owner is self._channel for live in self._keeper.live.values())

    def holds(self, task_id: str) -> bool:
        """Tell whether a task is under way in this process."""
        return task_id in self._keeper.live

    def watch(self, call: MultiRoundCall) -> asyncio.TimerHandle:
        """Make a call a task if it takes long."""
        return asyncio.get_running_loop().call_later(self._timeout, self._adopt, call)

    async def close(self) -> None:
        """Answer what is being answered, and leave the tasks to the clients that ask for them."""
        self._disown()
        while self._answering:
            await asyncio.wait(self._answering)
        self._disown()  # those that were being made
        self._keeper.listeners.discard(self._subscriptions.task_changed)

    def _disown(self) -> None:
        for live in self._keeper.live.values():
            if live.owner is self._channel:
                live.owner = None

    # Requests of clients

    def _get(self, request: Request) -> None:
        def tell(record: TaskRecord) -> None:
            self._channel.respond(request, msgspec.json.encode(tasks.task_form(record)))

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
        live = self._keeper.live.get(params.task_id)
        if live is not None:
            on_live(live, params)
        else:
            look = self._find_on_disk(request, params.task_id, on_record)
            self._wait_for(asyncio.get_running_loop().create_task(look))

    def _adopt(self, call: MultiRoundCall) -> None:
        if (job := self._keeper.adopt(call)) is not None:
            self._wait_for(job)

    def _wait_for(self, job: asyncio.Task[None]) -> None:
        self._answering.add(job)
        job.add_done_callback(self._answering.discard)

    async def _find_on_disk(self, request: Request, task_id: str, on_record: Callable[[TaskRecord], None]) -> None:
        record = await self._keeper.look_up(task_id)
        if record is None:
            self._channel.fail(request, INVALID_PARAMS, "there is no such task, or its time is over")
        elif record.has_ended or not self._relayed.take(request, record.run):
            on_record(record)
