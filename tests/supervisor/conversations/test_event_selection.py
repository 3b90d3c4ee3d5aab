"""A worker is told which events have a use: those that the audience of its turn takes, or all where someone listens."""

import pytest

from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.worker.operations import SelectEvents, StartTurn
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import Nobody
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


class Observer:
    """A listener that takes everything."""

    def __init__(self) -> None:
        self.client = Nobody()

    def events(self, turn_id: TurnId, events: bytes) -> None:
        """Take events."""

    def turn_ended(self, turn_id: TurnId) -> None:
        """Take the end of a turn."""


def begun(place: Workplace, wants_deltas: bool, wants_steps: bool = False) -> Conversation:
    """Return a conversation in which a turn runs."""
    conversation = place.conversations.open(b"{}")
    listener = Listener()
    listener.wants_deltas, listener.wants_steps = wants_deltas, wants_steps
    place.conversations.submit(conversation, b"[]", listener)
    place.open()
    return conversation


@pytest.mark.parametrize("wants_steps", [True, False])
@pytest.mark.parametrize("wants_deltas", [True, False])
def test_a_turn_begins_with_what_its_audience_takes(wants_deltas: bool, wants_steps: bool) -> None:
    @on_loop
    async def scene() -> None:
        place = Workplace()
        begun(place, wants_deltas, wants_steps)
        (started,) = [sent for sent in place.sent if isinstance(sent, StartTurn)]
        assert (started.deltas, started.steps) == (wants_deltas, wants_steps)

    scene()


@on_loop
async def test_a_listener_in_the_middle_of_a_turn_gets_everything_from_then_on() -> None:
    place = Workplace()
    conversation = begun(place, wants_deltas=False)
    place.conversations.observe(conversation, Observer())
    assert [sent.deltas for sent in place.sent if isinstance(sent, SelectEvents)] == [True]


@on_loop
async def test_a_turn_of_a_conversation_with_a_listener_tells_everything() -> None:
    place = Workplace()
    conversation = place.conversations.open(b"{}")
    place.conversations.observe(conversation, Observer())
    listener = Listener()
    listener.wants_deltas = False
    place.conversations.submit(conversation, b"[]", listener)
    place.open()
    (started,) = [sent for sent in place.sent if isinstance(sent, StartTurn)]
    assert started.deltas


@on_loop
async def test_a_listener_that_leaves_with_its_client_takes_the_deltas_along() -> None:
    place = Workplace()
    conversation = begun(place, wants_deltas=False)
    observer = Observer()
    place.conversations.observe(conversation, observer)
    place.conversations.leave(observer.client, "the client has left")
    assert [sent.deltas for sent in place.sent if isinstance(sent, SelectEvents)] == [True, False]


@pytest.mark.parametrize("wants_deltas", [True, False])
@pytest.mark.parametrize("wants_steps", [True, False])
def test_a_caller_that_leaves_takes_along_what_it_alone_had_a_use_for(wants_deltas: bool, wants_steps: bool) -> None:
    @on_loop
    async def scene() -> None:
        place = Workplace()
        conversation = begun(place, wants_deltas, wants_steps)
        assert conversation.running is not None
        place.conversations.leave(conversation.running.audience.client, "the client has left")
        told = [(sent.deltas, sent.steps) for sent in place.sent if isinstance(sent, SelectEvents)]
        assert told == [(False, False)] * (wants_deltas or wants_steps)

    scene()
