"""The table of conversations with one simulated worker, and a listener for its turns."""

from typing import cast

import msgspec

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import Incarnation, TurnId, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker import (
    Compact,
    Events,
    Open,
    Opened,
    Operation,
    ReceivedNotice,
    StartTurn,
    TurnEnded,
)
from greenroom.protocol.mcp.handshake import Failure
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

WORKER = WorkerId("w-1")


class Workplace:
    """One worker that accepts every request, and does nothing by itself."""

    def __init__(self, session_path: str = "/nowhere") -> None:
        self.sent: list[Operation] = []
        self.session_path = session_path
        self.exit_history = ExitHistory()
        self.conversations = Conversations(
            cast("WorkerRouter", self), self, self.exit_history, Limits(), (), lambda: "promises/1"
        )

    def take(self, order: WorkerRequest) -> None:
        order(WORKER)

    def withdraw(self, order: WorkerRequest) -> None:
        pass

    obstacle = None

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        raise AssertionError("nobody is killed")

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return None

    def send(self, worker_id: WorkerId, operation: Operation, payload: bytes = b"") -> bool:
        self.sent.append(operation)
        return True

    def open(self) -> None:
        """Let the worker become the conversation of its last `Open`."""
        order = next(sent for sent in reversed(self.sent) if isinstance(sent, Open))
        address = {"conversation_id": order.conversation_id, "incarnation": order.incarnation}
        opened = msgspec.convert({**address, "model": "m", "cwd": "/", "session_path": self.session_path}, Opened)
        self.conversations.receive(WORKER, ReceivedNotice(opened, b""))

    def end(self, turn_id: TurnId, incarnation: Incarnation | None = None) -> None:
        """Let the worker end a turn, or claim so for another incarnation."""
        ended = msgspec.convert({**self._address(turn_id, incarnation), "outcome": "completed"}, TurnEnded)
        self.conversations.receive(WORKER, ReceivedNotice(ended, b'""'))

    def tell(self, turn_id: TurnId, incarnation: Incarnation | None = None) -> None:
        """Let the worker emit an event of a turn."""
        events = msgspec.convert(self._address(turn_id, incarnation), Events)
        self.conversations.receive(WORKER, ReceivedNotice(events, b"{}"))

    def die(self) -> None:
        """Let the worker die."""
        self.conversations.lost(Exited(id=WORKER, pid=1, returncode=-9, max_rss=0), None)

    def _address(self, turn_id: TurnId, incarnation: Incarnation | None) -> dict[str, object]:
        begun = next(sent for sent in self.sent if isinstance(sent, StartTurn | Compact) and sent.turn_id == turn_id)
        number = incarnation or begun.incarnation
        return {"conversation_id": begun.conversation_id, "incarnation": number, "turn_id": turn_id}


class Listener:
    """Waits for the end of one turn."""

    def __init__(self) -> None:
        self.last_message: bytes | None = None
        self.failure: Failure | None = None
        self.heard = 0
        """Batches of events."""

    def events(self, turn_id: TurnId, events: bytes) -> None:
        self.heard += 1

    def progress(self, doing: str) -> None:
        """There is none."""

    def asks(self, question_id: int, question: bytes) -> None:
        """There are no questions."""

    def succeeded(self, last_message: bytes) -> None:
        self.last_message = last_message

    def failed(self, failure: Failure) -> None:
        self.failure = failure
