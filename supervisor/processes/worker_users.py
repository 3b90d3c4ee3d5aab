"""What the process tree needs to know of those that workers are started for."""

from typing import Protocol

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.notices import ReceivedNotice


class WorkerUsers(Protocol):
    """All that workers are used for. Told of what they say, and of their ends."""

    @property
    def leaving(self) -> frozenset[WorkerId]:
        """The workers that have something to save before they end, once `abort_all` has been called."""

    @property
    def are_at_rest(self) -> bool:
        """Whether no worker is doing anything."""

    def receive_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        """Take events of a worker: JSON objects, a newline between two of them."""

    def receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        """Take a notice of a worker."""

    def lost(self, exited: Exited, why: str | None) -> None:
        """Take the end of a worker, and its cause where that is another than the kernel tells."""

    def kill(self, worker_id: WorkerId, why: str) -> bool:
        """Kill a worker, and say why where it is used; return whether it is."""

    def place_of(self, worker_id: WorkerId) -> tuple[ConversationId | None, Incarnation | None]:
        """Return the conversation that a worker hosts and its incarnation, if it hosts one."""

    def fail_waiting(self, cause: str, facts: dict[str, object]) -> None:
        """Fail all that waits for a worker, as none can be started. `facts` are for programs."""

    def abort_all(self, reason: str) -> None:
        """End all that workers do, and ask them to save and leave."""
