"""The slots in which conversations may have a process: their assignment and their release."""

import asyncio
from collections.abc import Callable
from functools import partial

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import HERE, Incarnation, WorkerId
from greenroom.supervisor.conversations.assignments import WorkerAssignments, Workers
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.slot_queue import SlotQueue
from greenroom.supervisor.conversations.state.wishes import wish_of
from greenroom.supervisor.processes.nodes.wish import ON_HOST
from greenroom.supervisor.processes.pool import WorkerRequest

OnHosted = Callable[[Conversation], None]
OnOverdue = Callable[[Conversation], None]


class Slots:
    """Parks conversations that are idle for too long, and the longest idle one when another needs its slot."""

    def __init__(
        self,
        assignments: WorkerAssignments,
        workers: Workers,
        limits: Limits,
        on_hosted: OnHosted,
        on_overdue: OnOverdue,
    ) -> None:
        """`on_hosted` is called with each conversation that was assigned a worker, before that has opened it.

        `on_overdue` is called with each that has waited for a worker for too long.
        """
        self._assignments = assignments
        self._workers = workers
        self._park_after = limits.park_after
        self._on_hosted = on_hosted
        self._on_overdue = on_overdue
        self._timeout = limits.start_timeout
        self._ordered: dict[Conversation, tuple[WorkerRequest, asyncio.TimerHandle]] = {}
        """The conversations that wait for a worker to be started."""
        self._queue = SlotQueue(limits.live_workers)
        self._taken = 0
        self._taken_here: set[Conversation] = set()
        """Conversations with a slot that can run on the host alone, where there are nodes."""
        self.restarts = 0
        """Processes that were ordered in place of one that died, or that did not come."""
        self._parking: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def taken(self) -> int:
        """Number of conversations that have a process, or wait for it to start."""
        return self._taken

    @property
    def waited_for(self) -> int:
        """Number of conversations that wait for a slot."""
        return self._queue.waiting

    def acquire(self, conversation: Conversation) -> None:
        """Assign a slot and a worker to a conversation as soon as there are any."""
        self._queue.wait(conversation, only_here=self._workers.has_nodes and wish_of(conversation).only_here)
        self.fill()

    def fill(self) -> None:
        """Assign slots to waiting conversations, parking the longest idle where none is free."""
        while (conversation := self._next()) is not None:
            if conversation.queued:
                self._place(conversation)
        if self._queue.waiting:
            self._workers.note_waiting()
        if self._queue.waiting and (idle := self._queue.longest_idle()) is not None:
            self.park(idle)

    def _next(self) -> Conversation | None:
        """Return the next conversation that may have a process; room on nodes is of no matter to those of the host."""
        if not self._queue.has_place(self._taken):
            return None
        room = self._workers.room(len(self._taken_here))
        return self._queue.next_waiting(only_here=room is not None and self._taken >= room)

    def waits(self, conversation: Conversation) -> bool:
        """Tell whether a conversation waits for a slot."""
        return self._queue.waits(conversation)

    def release_slot(self, conversation: Conversation) -> None:
        """Release the slot of a conversation; `fill` assigns it to another."""
        self._taken -= 1
        self._taken_here.discard(conversation)
        self._forget_order(conversation)
        self._queue.mark_busy(conversation)
        self._assignments.part(conversation)

    def mark_idle(self, conversation: Conversation) -> None:
        """Note that a conversation has become idle."""
        self._queue.mark_idle(conversation, self._loop.time())
        if conversation.is_leaving or conversation.is_wanted_elsewhere:
            self.park(conversation)
        self._park_later()
        self.fill()

    def mark_busy(self, conversation: Conversation) -> None:
        """Note that a conversation is no longer idle."""
        self._queue.mark_busy(conversation)

    def park(self, conversation: Conversation) -> None:
        """Make an idle conversation save and release its slot."""
        self._queue.mark_busy(conversation)
        conversation.happen("park_asked")
        if conversation.worker_id is not None:
            self._assignments.ask_to_leave(conversation.worker_id)

    def close(self) -> None:
        """Stop parking."""
        if self._parking is not None:
            self._parking.cancel()
        for _, deadline in self._ordered.values():
            deadline.cancel()

    def _place(self, conversation: Conversation) -> None:
        self._taken += 1
        self.restarts += conversation.state in lifecycle.WITHOUT_ITS_PROCESS
        conversation.happen("placed")
        conversation.incarnation = Incarnation(conversation.incarnation + 1)
        if conversation.queue:
            conversation.user_agent = conversation.queue[0].audience.client.user_agent
        order = partial(self._host, conversation)
        wish = wish_of(conversation)
        if wish.only_here and self._workers.has_nodes:
            self._taken_here.add(conversation)
        is_refused = self._workers.refusal(wish) is not None
        timeout = 0.0 if is_refused else self._timeout
        self._ordered[conversation] = order, self._loop.call_later(timeout, self._on_overdue, conversation)
        if not is_refused:
            self._workers.take(order, wish if self._workers.has_nodes else ON_HOST)

    def _forget_order(self, conversation: Conversation) -> None:
        ordered = self._ordered.pop(conversation, None)
        if ordered is not None:
            order, deadline = ordered
            deadline.cancel()
            self._workers.withdraw(order)

    def _host(self, conversation: Conversation, worker_id: WorkerId) -> None:
        self._forget_order(conversation)
        if conversation.state != "starting":  # closed while it waited for a worker
            self._workers.kill(worker_id)
            return
        conversation.node = self._workers.node_of(worker_id) or HERE
        self._assignments.enter(conversation, worker_id)
        self._on_hosted(conversation)

    def _park_later(self) -> None:
        deadline = self._queue.next_deadline(self._park_after)
        if self._parking is None and deadline is not None:
            self._parking = self._loop.call_at(deadline, self._park_overdue)

    def _park_overdue(self) -> None:
        self._parking = None
        now = self._loop.time()
        for conversation in self._queue.idle_since(now - self._park_after):
            if conversation.open_commands or conversation.holds_unsaved or conversation.requests:
                self._queue.mark_idle(conversation, now)
            else:
                self.park(conversation)
        self._park_later()
