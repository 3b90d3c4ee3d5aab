"""What the conversations do for each of several clients: hold back what it does not read, and end what it leaves."""

from dataclasses import dataclass

from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.worker.operations import HoldEvents, Interrupt, Open, StartTurn, Steer
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


@dataclass(eq=False)
class Client:
    user_agent: str = ""
    is_reading: bool = True


class Observer:
    """Listens to a conversation."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ended: list[TurnId] = []

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events."""

    def turn_ended(self, turn_id: TurnId) -> None:
        self.ended.append(turn_id)


class Place(Workplace):
    """A workplace where workers may be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[str | None] = []

    def kill(self, worker_id: WorkerId, why: str | None = None) -> None:
        self.killed.append(why)

    @property
    def holds(self) -> list[bool]:
        """What the worker was told about holding back, in order."""
        return [sent.hold for sent in self.sent if isinstance(sent, HoldEvents)]

    def set_reading(self, client: Client, is_reading: bool) -> None:
        client.is_reading = is_reading
        self.conversations.follow_reader(client)


def running(place: Place, client: Client) -> tuple[Conversation, ConversationTurn, Listener]:
    """Run a turn for a client."""
    conversation, listener = place.conversations.open(b"{}"), Listener(client)
    turn = place.conversations.submit(conversation, b"[]", listener)
    place.open()
    return conversation, turn, listener


@on_loop
async def test_a_conversation_is_opened_in_the_name_of_the_client_whose_turn_comes_first() -> None:
    place = Place()
    conversation = place.conversations.open(b"{}")
    place.conversations.submit(conversation, b"[]", Listener(Client("first/1")))
    place.conversations.submit(conversation, b"[]", Listener(Client("second/1")))
    (opened,) = [sent for sent in place.sent if isinstance(sent, Open)]
    assert opened.user_agent == "first/1"


@on_loop
async def test_a_worker_is_told_once_that_its_client_does_not_read_and_once_that_it_does() -> None:
    place, client = Place(), Client()
    running(place, client)
    for is_reading in (False, False, True, True):
        place.set_reading(client, is_reading)
    assert place.holds == [True, False]


@on_loop
async def test_a_conversation_follows_the_slowest_of_its_listeners_and_the_end_of_a_turn_lets_it_go() -> None:
    place, caller, observer = Place(), Client(), Client()
    conversation, turn, _ = running(place, caller)
    place.conversations.observe(conversation, Observer(observer))
    place.set_reading(caller, False)
    place.set_reading(observer, False)
    place.set_reading(caller, True)
    assert place.holds == [True]
    place.set_reading(observer, True)
    place.set_reading(caller, False)
    place.end(turn.id)
    assert place.holds == [True, False, True, False]


@on_loop
async def test_a_client_that_does_not_read_is_no_reason_to_hold_back_a_conversation_of_another() -> None:
    place, idle = Place(), Client(is_reading=False)
    running(place, Client())
    place.set_reading(idle, False)
    assert place.holds == []


@on_loop
async def test_a_turn_whose_end_is_held_back_is_not_taken_for_one_that_does_not_end() -> None:
    place, client = Place(), Client()
    conversation, turn, _ = running(place, client)
    place.set_reading(client, False)
    place.conversations.interrupt(turn)
    place.conversations._turns._insist(conversation, conversation.incarnation, turn)
    assert place.killed == []
    place.set_reading(client, True)
    place.conversations._turns._insist(conversation, conversation.incarnation, turn)
    assert place.killed == ["did not end its turn when asked to"]


@on_loop
async def test_leaving_ends_a_running_turn_at_once_and_interrupts_it_in_its_worker() -> None:
    place, client = Place(), Client()
    conversation, turn, listener = running(place, client)
    place.conversations.leave(client, "the client has left")
    assert listener.failure is not None
    assert (listener.failure.kind, listener.failure.facts["reason"]) == ("turn_aborted", "the client has left")
    assert [sent.turn_id for sent in place.sent if isinstance(sent, Interrupt)] == [turn.id]
    assert conversation.running is turn, "until its worker says that it has ended"
    place.tell(turn.id)
    place.end(turn.id)
    assert conversation.state == "idle"
    assert (listener.heard, listener.last_message) == (0, None)


@on_loop
async def test_input_of_another_client_into_a_turn_that_is_left_becomes_a_turn_of_its_own() -> None:
    place, client, other = Place(), Client(), Client()
    conversation, turn, _ = running(place, client)
    steering = Listener(other)
    given = place.conversations.steer(conversation, b"[]", steering)
    dropped = Listener(client)
    place.conversations.steer(conversation, b"[]", dropped)
    assert sum(isinstance(sent, Steer) for sent in place.sent) == 2
    place.conversations.leave(client, "the client has left")
    assert dropped.failure is not None
    place.end(turn.id)
    assert steering.failure is None
    assert [sent.turn_id for sent in place.sent if isinstance(sent, StartTurn)] == [turn.id, given.id]
    assert conversation.running is given


@on_loop
async def test_a_listener_that_is_left_hears_nothing_more_and_holds_nobody_up() -> None:
    place, caller, left = Place(), Client(), Client()
    conversation, turn, _ = running(place, caller)
    observer = Observer(left)
    place.conversations.observe(conversation, observer)
    place.set_reading(left, False)
    place.conversations.leave(left, "the client has left")
    assert place.holds == [True, False]
    place.end(turn.id)
    assert observer.ended == []


@on_loop
async def test_a_conversation_that_is_only_being_opened_is_opened_to_the_end() -> None:
    place, client = Place(), Client()
    conversation, listener = place.conversations.open(b"{}"), Listener(client)
    place.conversations.bring_up(conversation, listener)
    place.conversations.leave(client, "the client has left")
    assert listener.failure is not None
    place.open()
    assert conversation.state == "idle"
    assert place.killed == []
