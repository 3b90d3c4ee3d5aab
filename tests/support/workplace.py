"""The table of conversations with one worker who is played by the test, and a listener for its turns."""

from typing import cast

import msgspec

from greenroom.config.defaults import Limits
from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, NodeName, TurnId, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.notices import NoticeOrder, Opened, ReceivedNotice, TurnEnded
from greenroom.protocol.internal.worker.operations import Compact, Open, Operation, StartTurn, TurnSettings
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import Client, Nobody
from greenroom.supervisor.processes.exits import ExitHistory
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Opening, Wish
from greenroom.supervisor.processes.pool import WorkerRequest
from greenroom.supervisor.processes.worker_router import WorkerRouter

WORKER = WorkerId("w-1")


class Workplace:
    """One worker who gets whatever is asked for, and does nothing by itself."""

    def __init__(self, session_path: str = "/nowhere") -> None:
        self.sent: list[Operation] = []
        self.session_path = session_path
        self.exit_history = ExitHistory()
        self.conversations = Conversations(cast("WorkerRouter", self), self, self.exit_history, Limits(), ())

    has_nodes = False

    @staticmethod
    def room(only_here: int) -> int | None:
        return None

    def take(self, order: WorkerRequest, wish: Wish = ON_HOST) -> None:
        order(WORKER)

    def node_of(self, worker_id: WorkerId) -> NodeName | None:
        return None

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        pass

    def announced(self, worker_id: WorkerId, notice: Opened, configured: bytes) -> tuple[Opened, bytes] | None:
        return notice, configured

    def opening(
        self, worker_id: WorkerId, conversation_id: ConversationId, incarnation: Incarnation, opening: Opening
    ) -> bytes | None:
        return None

    def note_waiting(self) -> None:
        pass

    def refusal(self, wish: Wish) -> str | None:
        return None

    def lacking(self, wish: Wish) -> str | None:
        return None

    def can_go_elsewhere(self, wish: Wish) -> bool:
        return False

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
        """Let the worker become its conversation, as it was told last."""
        order = next(sent for sent in reversed(self.sent) if isinstance(sent, Open))
        address = {"conversation_id": order.conversation_id, "incarnation": order.incarnation}
        opened = msgspec.convert({**address, "model": "m", "cwd": "/", "session_path": self.session_path}, Opened)
        self.conversations.notices.receive(WORKER, ReceivedNotice(opened, b"", NoticeOrder(0, 1)))

    def end(self, turn_id: TurnId, incarnation: Incarnation | None = None) -> None:
        """Let the worker end a turn, or say so in the name of another incarnation."""
        ended = msgspec.convert({**self._address(turn_id, incarnation), "outcome": "completed"}, TurnEnded)
        self.conversations.notices.receive(WORKER, ReceivedNotice(ended, b'""', NoticeOrder(0, 2)))

    def tell(self, turn_id: TurnId) -> None:
        """Let the worker tell an event of a turn."""
        self.conversations.notices.receive_events(WORKER, turn_id, b"{}")

    def die(self) -> None:
        """Let the worker die."""
        self.conversations.lost(Exited(id=WORKER, pid=1, returncode=-9, max_rss=0), None)

    def _address(self, turn_id: TurnId, incarnation: Incarnation | None) -> dict[str, object]:
        begun = next(sent for sent in self.sent if isinstance(sent, StartTurn | Compact) and sent.turn_id == turn_id)
        number = incarnation or begun.incarnation
        return {"conversation_id": begun.conversation_id, "incarnation": number, "turn_id": turn_id}


class Listener:
    """Waits for the end of one turn."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Nobody()
        self.last_message: bytes | None = None
        self.failure: Failure | None = None
        self.heard = 0
        """Batches of events."""
        self.wants_deltas = True
        self.wants_steps = False

    def events(self, turn_id: TurnId, events: bytes) -> None:
        self.heard += 1

    def progress(self, doing: str) -> None:
        """There is none."""

    def asks(self, question_id: int, question: AnyQuestion, form: EventForm) -> None:
        """There are no questions."""

    def succeeded(self, last_message: bytes) -> None:
        self.last_message = last_message

    def failed(self, failure: Failure) -> None:
        self.failure = failure
