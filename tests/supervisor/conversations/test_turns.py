"""The turn that a conversation is opened for has begun before its worker tells that it has opened the conversation."""

from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import Moment
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


@on_loop
async def test_a_conversation_is_told_of_later_than_its_first_turn_began() -> None:
    place, began = Workplace(), list[Moment | None]()

    def opened(conversation: Conversation, _: bytes) -> None:
        assert conversation.running is not None
        began.append(conversation.running.started_at)

    place.conversations.open_listeners.append(opened)
    place.conversations.submit(place.conversations.open(b"{}"), b"[]", Listener())
    sent = Moment.now()
    place.open()
    (first,) = began
    assert first is not None
    assert first.clock <= sent.clock, "what is told of its beginning names this moment"
