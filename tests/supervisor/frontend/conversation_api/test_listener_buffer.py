"""Each event is delivered once, under the number of its message, and undelivered events are limited."""

import json
from typing import Any

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, TurnId
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.listener_buffer import KEPT, ListenerBuffer

ID = ConversationId("0199f3a0-0000-7000-8000-000000000001")
TURN = TurnId("t-1")
STARTED = b'{"type":"task_started"}'
DELTA = b'{"type":"agent_message_delta","delta":"\\n"}'


class Ear:
    """A buffer, and what it says to the client."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.buffer = ListenerBuffer(ID, ClientChannel(lambda line: self.lines.append(json.loads(line))))

    def told(self) -> list[tuple[str, str]]:
        return [(line["method"], line["params"]["id"]) for line in self.lines]


def test_events_carry_type_and_number_and_the_first_of_all_is_left_out() -> None:
    ear = Ear()
    ear.buffer.subscribe()
    ear.buffer.expect(TURN, ear.buffer.count_submission())
    ear.buffer.events(BEFORE_TURNS, b'{"type":"session_configured"}\n{"type":"warning","message":"w"}')
    ear.buffer.events(TURN, STARTED + b"\n" + DELTA)
    ear.buffer.events(TurnId("of-a-tool-call"), b'{"delta":"","type":"agent_message_delta"}')
    assert ear.told() == [
        ("codex/event/warning", ""),
        ("codex/event/task_started", "0"),
        ("codex/event/agent_message_delta", "0"),
        ("codex/event/agent_message_delta", "of-a-tool-call"),
    ]
    assert ear.lines[2]["params"] == {"id": "0", "msg": json.loads(DELTA), "conversationId": ID}


def test_what_is_kept_is_bounded_and_told_in_order() -> None:
    ear = Ear()
    for number in range(3000):
        ear.buffer.events(TURN, b'{"type":"agent_message_delta","delta":"%s %d"}' % (b"x" * 1000, number))
    assert ear.buffer.kept_bytes <= KEPT
    ear.buffer.subscribe()
    numbers = [int(line["params"]["msg"]["delta"].split()[1]) for line in ear.lines]
    assert numbers == list(range(3000 - len(numbers), 3000))
    assert len(numbers) > 800
    assert ear.buffer.kept_bytes == 0


def test_the_end_that_a_worker_has_told_is_not_told_again() -> None:
    ear = Ear()
    ear.buffer.subscribe()
    ear.buffer.events(TURN, STARTED + b'\n{"type":"error"}\n{"type":"task_complete"}')
    ear.buffer.fail("0", TURN, Failure("model_error", "no"))
    assert [method for method, _ in ear.told()].count("codex/event/task_complete") == 1


def test_the_end_of_a_turn_that_died_is_told_in_its_place() -> None:
    ear = Ear()
    ear.buffer.subscribe()
    ear.buffer.events(TURN, STARTED)
    ear.buffer.fail("0", TURN, Failure("turn_aborted", "Turn aborted: interrupted"))
    ear.buffer.fail("1", None, Failure("overloaded", "too much"))
    ear.buffer.fail("2", TurnId("never-begun"), Failure("turn_aborted", "Turn aborted: interrupted"))
    assert ear.told()[1:] == [
        ("codex/event/turn_aborted", "0"),
        ("codex/event/error", "1"),
        ("codex/event/task_complete", "1"),
    ]


def test_questions_wait_for_a_listener_and_ends_for_their_own_turn() -> None:
    ear = Ear()
    said: list[str] = []
    ear.buffer.ask(lambda: said.append("asked"))
    ear.buffer.on_end(TURN, lambda: said.append("ended"))
    ear.buffer.turn_ended(TurnId("another"))
    assert said == []
    ear.buffer.subscribe()
    ear.buffer.turn_ended(TURN)
    assert said == ["asked", "ended"]
