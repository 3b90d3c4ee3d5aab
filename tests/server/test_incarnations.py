"""What a dead incarnation of a conversation has said is dropped, however late it comes."""

from greenroom.protocol.ids import Incarnation, WorkerId
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


@on_loop
async def test_the_output_of_a_dead_incarnation_is_dropped() -> None:
    place, first, second = Workplace(), Listener(), Listener()
    conversation = place.conversations.open(b"{}")
    dead = place.conversations.submit(conversation, b"[]", first)
    waiting = place.conversations.submit(conversation, b"[]", second)
    place.open()
    place.die()
    assert first.failure is not None
    assert first.failure.kind == "worker_crashed"
    place.open()
    assert (conversation.state, conversation.incarnation) == ("running", 2)
    for turn in (dead, waiting):
        place.conversations.notices.receive_events(WorkerId("w-0"), turn.id, b"{}")
        place.end(turn.id, Incarnation(1))
    assert (second.heard, second.last_message, conversation.state) == (0, None, "running")
    place.tell(waiting.id)
    place.end(waiting.id)
    assert (second.heard, second.last_message, conversation.state) == (1, b'""', "idle")
