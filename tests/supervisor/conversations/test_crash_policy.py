"""A turn of which its dead worker has neither said nor saved anything begins again; any other one is answered."""

from pathlib import Path

import pytest

from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.supervisor.conversations.state.conversation import FALSE_STARTS, Conversation
from tests.support.loop import on_loop
from tests.support.workplace import Listener, Workplace


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session file that has something in it."""
    path = tmp_path / "session.jsonl"
    path.write_text("{}\n")
    return path


def idle(place: Workplace) -> Conversation:
    """Return a conversation that has had a turn."""
    conversation = place.conversations.open(b"{}")
    turn = place.conversations.submit(conversation, b"[]", Listener())
    place.open()
    place.end(turn.id)
    assert conversation.state == "idle"
    return conversation


def ask(place: Workplace, conversation: Conversation) -> tuple[TurnId, Listener]:
    listener = Listener()
    return place.conversations.submit(conversation, b"[]", listener).id, listener


@on_loop
async def test_a_turn_that_left_no_trace_begins_again(session: Path) -> None:
    place = Workplace(str(session))
    conversation = idle(place)
    turn, listener = ask(place, conversation)
    place.die()
    assert listener.failure is None
    assert conversation.state == "starting"
    place.open()
    place.end(turn, Incarnation(2))
    assert listener.last_message == b'""'
    record = place.exit_history.of(conversation.id)
    assert record is not None, "the death itself is not hidden"


@on_loop
async def test_a_turn_that_was_heard_of_does_not(session: Path) -> None:
    place = Workplace(str(session))
    conversation = idle(place)
    turn, listener = ask(place, conversation)
    place.tell(turn)
    place.die()
    assert listener.failure is not None
    assert listener.failure.kind == "worker_crashed"


@on_loop
async def test_a_turn_that_is_in_the_file_does_not(session: Path) -> None:
    """What the worker said may be under way still, or lost with it."""
    place = Workplace(str(session))
    conversation = idle(place)
    _, listener = ask(place, conversation)
    with session.open("a") as file:
        file.write("{}\n")
    place.die()
    assert listener.failure is not None
    assert listener.failure.kind == "worker_crashed"


@on_loop
async def test_a_turn_that_no_worker_survives_is_answered_in_the_end(session: Path) -> None:
    place = Workplace(str(session))
    conversation = idle(place)
    _, listener = ask(place, conversation)
    for _ in range(FALSE_STARTS):
        place.die()
        assert listener.failure is None
    place.die()
    assert listener.failure is not None
    assert listener.failure.kind == "start_failed"


@on_loop
async def test_a_turn_that_was_to_be_stopped_does_not(session: Path) -> None:
    place = Workplace(str(session))
    conversation = idle(place)
    listener = Listener()
    turn = place.conversations.submit(conversation, b"[]", listener)
    place.conversations.interrupt(turn)
    place.die()
    assert listener.failure is not None
    assert listener.failure.kind == "turn_aborted"
