"""The assignment of conversations to workers: delivery of operations to a worker, and its end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from greenroom.protocol.ids import ConversationId, Incarnation, NodeName, WorkerId
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import Close, HoldEvents, Operation, TurnSettings
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Opening, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

log = logging.getLogger(__name__)

UNREACHABLE = "cannot be reached"
"""Why a worker is killed whose mailbox accepts no message: it is dead, or stuck for good."""
LEAVE_GRACE = 2.0
"""Seconds that an idle worker has to exit when asked, before it is killed; it has no turn to save."""


class Workers(Protocol):
    """The source of workers (`greenroom.supervisor.processes.worker_supply.WorkerSupply`)."""

    @property
    def has_nodes(self) -> bool:
        """Whether workers may be on other machines."""
        ...

    def room(self, only_here: int) -> int | None:
        """Return how many conversations may have a process on all machines; `None` where nodes set no bound.

        `only_here`: those that have one and can run on the host alone.
        """
        ...

    def take(self, order: WorkerRequest, wish: Wish = ON_HOST) -> None:
        """Assign a worker to `order`, now or later; `wish` is what its conversation needs of the machine."""

    def withdraw(self, order: WorkerRequest) -> None:
        """Cancel an order that has not been fulfilled."""

    @property
    def obstacle(self) -> str | None:
        """The error of the last failed start of a worker, as text."""

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        """Kill a worker; `why` is reported as the cause of its death."""

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return its process id while it is alive, on this machine."""
        ...

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        """Return the node of a worker; `None` where it is of this machine."""
        ...

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        """Note what the next turn of a worker overrides."""

    def announced(self, worker_id: WorkerId, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        """Return the notice of a worker that has opened its conversation, and its event `session_configured`.

        Where the worker is on a node both say what this machine has resolved. `None` where the worker is ended instead.
        """
        ...

    def opening(
        self, worker_id: WorkerId, conversation_id: ConversationId, incarnation: Incarnation, opening: Opening
    ) -> bytes | None:
        """Return what a worker of a node is told of the home with its conversation, as JSON; `None` for all others."""
        ...

    def note_waiting(self) -> None:
        """Note that a conversation waits for a slot."""

    def refusal(self, wish: Wish) -> str | None:
        """Return why a conversation can run nowhere, however long it waits; `None` where it can."""
        ...

    def lacking(self, wish: Wish) -> str | None:
        """Return what a conversation has waited for in vain that needs more than a worker."""
        ...

    def can_go_elsewhere(self, wish: Wish) -> bool:
        """Tell whether there is a machine that has the directory, as far as that is known."""
        ...


class WorkerAssignments:
    """The workers that host a conversation."""

    def __init__(self, router: WorkerRouter, workers: Workers) -> None:
        self._router = router
        self._workers = workers
        self._hosted: dict[WorkerId, Conversation] = {}
        self._doomed: set[WorkerId] = set()
        self._departing: dict[WorkerId, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def ids(self) -> frozenset[WorkerId]:
        """The workers that host a conversation at the moment."""
        return frozenset(self._hosted)

    @property
    def held(self) -> int:
        """Number of workers that have been told to send no events for now."""
        return sum(conversation.is_held for conversation in self._hosted.values())

    def enter(self, conversation: Conversation, worker_id: WorkerId) -> None:
        """Assign a worker to a conversation."""
        conversation.worker_id = worker_id
        self._hosted[worker_id] = conversation

    def part(self, conversation: Conversation) -> None:
        """Unassign the worker of a conversation, if it has one; its later messages are dropped."""
        if conversation.worker_id is not None:
            self._hosted.pop(conversation.worker_id, None)
        conversation.lose_process()

    def conversation_of(self, worker_id: WorkerId) -> Conversation | None:
        """Return the conversation that a worker hosts."""
        return self._hosted.get(worker_id)

    def pid_of(self, conversation: Conversation) -> int | None:
        """Return the process id of a conversation's worker while that is alive."""
        return None if conversation.worker_id is None else self._workers.pid_of(conversation.worker_id)

    def begin_turn(self, conversation: Conversation, settings: TurnSettings | None) -> None:
        """Note what the turn overrides that the worker of a conversation is sent next."""
        if conversation.node and conversation.worker_id is not None:
            self._workers.begin_turn(conversation.worker_id, settings)

    def announced(self, conversation: Conversation, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        """Return the notice that a conversation is open, and its event `session_configured`, as they count.

        `None` where its worker is ended instead.
        """
        if not conversation.node or conversation.worker_id is None:
            return notice, configured
        return self._workers.announced(conversation.worker_id, notice, configured)

    def send(self, conversation: Conversation, operation: Operation, payload: bytes = b"") -> None:
        """Send an operation to the worker of a conversation; a worker that cannot be reached is killed."""
        worker_id = conversation.worker_id
        if worker_id is not None and not self._router.send(worker_id, operation, payload):
            self.kill(conversation, UNREACHABLE)

    def follow_readers(self, conversation: Conversation) -> None:
        """Hold back the worker of a conversation while a client that listens does not read.

        What is on its way still arrives: at most what the buffer of one socket holds, some 200 KiB.
        """
        unread = conversation.is_unread
        if unread != conversation.is_held and conversation.worker_id is not None:
            conversation.is_held = unread
            self.send(conversation, HoldEvents(hold=unread))

    def follow_reader(self, client: Client) -> None:
        """Hold back, or let go, the workers of the conversations that a client listens to."""
        for conversation in list(self._hosted.values()):
            if conversation.is_held is client.is_reading:
                self.follow_readers(conversation)

    def kill(self, conversation: Conversation, why: str) -> None:
        """Kill the worker of a conversation; its end is reported as any other."""
        worker_id = conversation.worker_id
        if worker_id is not None and worker_id not in self._doomed:
            about = {"conversation_id": conversation.id, "worker_id": worker_id}
            log.error("conversation %s: killing its worker (%s)", conversation.id, why, extra=about)
            self._doomed.add(worker_id)
            self._workers.kill(worker_id, why)

    def is_being_killed(self, conversation: Conversation) -> bool:
        """Tell whether the worker of a conversation has been killed and its end is not yet reported."""
        return conversation.worker_id in self._doomed

    def ask_to_leave(self, worker_id: WorkerId, on_gone: Callable[[], None] = lambda: None) -> None:
        """Ask a worker to save and exit, and kill it if it does not; `on_gone` is called at its end."""
        self._departing[worker_id] = on_gone
        if not self._router.send(worker_id, Close()):
            self._workers.kill(worker_id)
        self._loop.call_later(LEAVE_GRACE, self._insist, worker_id)

    def dismiss_all(self) -> None:
        """Ask all workers to save and exit; the caller has to enforce it."""
        for worker_id in self._hosted:
            self._router.send(worker_id, Close())

    def lost(self, worker_id: WorkerId) -> Conversation | None:
        """Remove a worker that has ended, and return the conversation that it hosted."""
        self._doomed.discard(worker_id)
        if (on_gone := self._departing.pop(worker_id, None)) is not None:
            on_gone()
        return self._hosted.pop(worker_id, None)

    def _insist(self, worker_id: WorkerId) -> None:
        if worker_id in self._departing:
            log.error("worker %s did not leave when asked to; killing it", worker_id)
            self._workers.kill(worker_id)
