"""A compaction on request takes the way of a turn, behind those that were asked for before it."""

from greenroom.protocol.internal.worker.operations import Compact
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


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
    assert str(conversation.state) == "running"
    place.end(compaction.id)
    assert listener.last_message == b'""'
    assert conversation.state == "idle"


@on_loop
async def test_a_compaction_brings_a_conversation_back_that_has_no_process() -> None:
    place = Workplace()
    conversation = place.conversations.open(b"{}")
    place.conversations.compact(conversation, Listener())
    assert [type(sent).__name__ for sent in place.sent] == ["Open", "Compact"]
