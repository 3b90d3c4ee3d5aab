"""A compaction on request takes the way of a turn, behind those that were asked for before it."""

from typing import cast

from protocol.ids import TurnId, WorkerId
from protocol.mailbox import Compact, Open, Opened, Operation, ReceivedNotice, StartTurn, TurnEnded
from protocol.mcp import Failure
from supervisor.conversations import Conversations
from supervisor.death import Obituaries
from supervisor.limits import Limits
from supervisor.mailroom import Mailroom
from supervisor.pool import Order
from tests.support.loop import on_loop

WORKER = WorkerId("w-1")


class Workplace:
    """One worker who gets whatever is asked for, and does nothing by itself."""

    def __init__(self) -> None:
        self.sent: list[Operation] = []
        self.conversations = Conversations(
            cast("Mailroom", self), self, Obituaries(), Limits(), (), lambda: "promises/1"
        )

    def take(self, order: Order) -> None:
        order(WORKER)

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        raise AssertionError("nobody is killed")

    def pid_of(self, worker_id: WorkerId) -> int | None:
        return None

    def send(self, worker_id: WorkerId, operation: Operation, payload: bytes = b"") -> bool:
        self.sent.append(operation)
        return True

    def open(self) -> None:
        """Let the worker become its conversation."""
        (order, *_) = self.sent
        assert isinstance(order, Open)
        address = {"conversation_id": order.conversation_id, "incarnation": order.incarnation}
        opened = Opened.model_validate({**address, "model": "m", "cwd": "/", "session_path": "/nowhere"})
        self.conversations.receive(WORKER, ReceivedNotice(opened, b""))

    def end(self, turn_id: TurnId) -> None:
        """Let the worker end a turn."""
        begun = next(sent for sent in self.sent if isinstance(sent, StartTurn | Compact) and sent.turn_id == turn_id)
        address = {"conversation_id": begun.conversation_id, "incarnation": begun.incarnation}
        ended = TurnEnded.model_validate({**address, "turn_id": turn_id, "outcome": "completed"})
        self.conversations.receive(WORKER, ReceivedNotice(ended, b'""'))


class Listener:
    """Waits for the end of one turn."""

    def __init__(self) -> None:
        self.last_message: bytes | None = None

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """There are none."""

    def progress(self, doing: str) -> None:
        """There is none."""

    def asks(self, question_id: int, question: bytes) -> None:
        """There are no questions."""

    def succeeded(self, last_message: bytes) -> None:
        self.last_message = last_message

    def failed(self, failure: Failure) -> None:
        raise AssertionError(failure)


@on_loop
async def test_a_compaction_waits_for_the_turns_before_it_and_ends_as_a_turn() -> None:
    place, listener = Workplace(), Listener()
    conversation = place.conversations.open(b"{}")
    first = place.conversations.submit(conversation, b"[]", Listener())
    compaction = place.conversations.compact(conversation, listener)
    assert [type(sent).__name__ for sent in place.sent] == ["Open", "StartTurn"]
    place.open()
    place.end(first.id)
    begun = place.sent[-1]
    assert isinstance(begun, Compact)
    assert begun.turn_id == compaction.id
    assert conversation.state == "running"
    place.end(compaction.id)
    assert listener.last_message == b'""'
    assert conversation.state == "idle"


@on_loop
async def test_a_compaction_brings_a_conversation_back_that_has_no_process() -> None:
    place = Workplace()
    conversation = place.conversations.open(b"{}")
    place.conversations.compact(conversation, Listener())
    assert [type(sent).__name__ for sent in place.sent] == ["Open", "Compact"]
