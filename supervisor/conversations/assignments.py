"""Which worker hosts which conversation: the way to it, and its end where it has to go."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.worker import Close, Operation
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

log = logging.getLogger(__name__)

UNREACHABLE = "cannot be reached"
"""Why a worker is killed whose mailbox takes nothing: it has died, or as good as that."""
LEAVE_GRACE = 2.0
"""Seconds in which a worker that is to leave has to be gone before it is killed: it has no turn to save."""


class Workers(Protocol):
    """Where workers come from."""

    def take(self, order: WorkerRequest) -> None:
        """Give a worker to `order`, now or later."""

    def withdraw(self, order: WorkerRequest) -> None:
        """Take back an order that has not been met."""

    @property
    def obstacle(self) -> str | None:
        """Why the last worker that could not be started was not, in words."""

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        """End a worker at once; `why` is then said to be the cause of its death."""

    def pid_of(self, worker_id: WorkerId) -> int | None:
        """Return its process id while it lives."""
        ...


class WorkerAssignments:
    """The workers that have a conversation."""

    def __init__(self, router: WorkerRouter, workers: Workers) -> None:
        self._router = router
        self._workers = workers
        self._hosted: dict[WorkerId, Conversation] = {}
        self._doomed: set[WorkerId] = set()
        self._departing: dict[WorkerId, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def ids(self) -> frozenset[WorkerId]:
        """The workers that have a conversation at the moment."""
        return frozenset(self._hosted)

    @property
    def are_heard(self) -> bool:
        """Whether we listen to workers at the moment; while a client does not read, we do not."""
        return not self._router.statistics().paused

    def enter(self, conversation: Conversation, worker_id: WorkerId) -> None:
        """Give a conversation its worker."""
        conversation.worker_id = worker_id
        self._hosted[worker_id] = conversation

    def part(self, conversation: Conversation) -> None:
        """Take a conversation from its worker, if it has one: what that one still says is not heard."""
        if conversation.worker_id is not None:
            self._hosted.pop(conversation.worker_id, None)
        conversation.lose_process()

    def conversation_of(self, worker_id: WorkerId) -> Conversation | None:
        """Return the conversation of a worker."""
        return self._hosted.get(worker_id)

    def pid_of(self, conversation: Conversation) -> int | None:
        """Return the process of a conversation while it lives."""
        return None if conversation.worker_id is None else self._workers.pid_of(conversation.worker_id)

    def send(self, conversation: Conversation, operation: Operation, payload: bytes = b"") -> None:
        """Tell the worker of a conversation to do something; one that cannot be reached is killed."""
        worker_id = conversation.worker_id
        if worker_id is not None and not self._router.send(worker_id, operation, payload):
            self.kill(conversation, UNREACHABLE)

    def kill(self, conversation: Conversation, why: str) -> None:
        """Kill the worker of a conversation; its end is reported as every other one."""
        worker_id = conversation.worker_id
        if worker_id is not None and worker_id not in self._doomed:
            about = {"conversation_id": conversation.id, "worker_id": worker_id}
            log.error("conversation %s: killing its worker (%s)", conversation.id, why, extra=about)
            self._doomed.add(worker_id)
            self._workers.kill(worker_id, why)

    def is_being_killed(self, conversation: Conversation) -> bool:
        """Tell whether the worker of a conversation was killed, and its end is not yet reported."""
        return conversation.worker_id in self._doomed

    def ask_to_leave(self, worker_id: WorkerId, on_gone: Callable[[], None] = lambda: None) -> None:
        """Have a worker save and leave, and kill it if it does not; `on_gone` is called at its end."""
        self._departing[worker_id] = on_gone
        if not self._router.send(worker_id, Close()):
            self._workers.kill(worker_id)
        self._loop.call_later(LEAVE_GRACE, self._insist, worker_id)

    def dismiss_all(self) -> None:
        """Have all workers save and leave; seeing that they do is up to the caller."""
        for worker_id in self._hosted:
            self._router.send(worker_id, Close())

    def lost(self, worker_id: WorkerId) -> Conversation | None:
        """Take notice of the end of a worker, and return the conversation that it hosted."""
        self._doomed.discard(worker_id)
        if (on_gone := self._departing.pop(worker_id, None)) is not None:
            on_gone()
        return self._hosted.pop(worker_id, None)

    def _insist(self, worker_id: WorkerId) -> None:
        if worker_id in self._departing:
            log.error("worker %s did not leave when asked to; killing it", worker_id)
            self._workers.kill(worker_id)
