"""Further messages for a running turn: taken where they fit, left for later turns, or refused where none has room."""

import json

from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import Steered, SteeringRefused
from greenroom.protocol.internal.worker.operations import Steer
from tests.support.loop import on_loop, until
from tests.workers.conversation.test_conversation import THREAD, Room, room

HALF = 600_000
"""Characters: two messages of this length fit into no turn of the model below together, one does."""
MODEL = "gpt-5"


def put(place: Room, turn_id: TurnId, name: str, text: str) -> None:
    operation = Steer(conversation_id=THREAD, incarnation=Incarnation(1), turn_id=turn_id, input_id=TurnId(name))
    place.conversation.steering.put(operation, json.dumps([{"type": "text", "text": text}]).encode())


def answers(place: Room) -> list[tuple[type, str]]:
    """Return what became of each message, in order."""
    notices = place.mailbox.notices
    return [(type(notice), notice.input_id) for notice in notices if isinstance(notice, Steered | SteeringRefused)]


@on_loop
async def test_each_message_is_taken_left_or_refused_by_its_length() -> None:
    async with room() as place:
        await place.open(cwd="/", model=MODEL)
        turn_id, running = place.start("stall")
        await until(lambda: "agent_message_delta" in place.mailbox.kinds)
        put(place, turn_id, "short", "and this")
        put(place, turn_id, "half", "x" * HALF)
        put(place, turn_id, "other half", "y" * HALF)
        put(place, turn_id, "behind it", "and that")
        put(place, turn_id, "too long", "z" * 4 * HALF)
        assert answers(place) == [(SteeringRefused, "too long")], "before the turn looks for input"
        (refused,) = [notice for notice in place.mailbox.notices if isinstance(notice, SteeringRefused)]
        assert refused.error_kind == "prompt_too_long"
        assert refused.facts["characters"] == 4 * HALF
        assert HALF < refused.facts["max_characters"] < 2 * HALF
        assert await place.conversation.steering.take()
        assert answers(place)[1:] == [(Steered, "short"), (Steered, "half")]
        assert not await place.conversation.steering.take(), "the others are left for a turn of their own, in order"
        await place.stop(running)


@on_loop
async def test_a_message_for_an_earlier_turn_is_dropped() -> None:
    async with room() as place:
        await place.open(cwd="/", model=MODEL)
        _, running = place.start("stall")
        await until(lambda: "agent_message_delta" in place.mailbox.kinds)
        put(place, TurnId("t-0"), "late", "and this")
        assert not await place.conversation.steering.take()
        assert answers(place) == []
        await place.stop(running)
