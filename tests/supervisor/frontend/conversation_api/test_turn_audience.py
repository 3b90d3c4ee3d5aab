"""A message's turn leaves nothing behind once it has ended."""

import asyncio
import json
import weakref
from collections.abc import Callable
from typing import cast

import pytest

from greenroom.protocol.approval import CommandQuestion, Decision, FormQuestion
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.conversation_api.listener_buffer import ListenerBuffer
from greenroom.supervisor.frontend.conversation_api.turn_audience import ApiTurn
from greenroom.supervisor.frontend.elicitor import Elicitor, too_late
from tests.support.virtual_time import in_virtual_time

THREAD = ConversationId("0199")


class Decisions:
    """Stands in for the conversations: notes what is decided."""

    def __init__(self) -> None:
        self.made: list[tuple[int, Decision]] = []

    @property
    def questions(self) -> "Decisions":
        """The questions of the turns."""
        return self

    def decide(self, _: ConversationTurn, question_id: int, decision: Decision) -> None:
        self.made.append((question_id, decision))

    def on_decided_elsewhere(self, _: ConversationTurn, question_id: int, withdraw: Callable[[Decision], None]) -> None:
        """Nothing is decided elsewhere."""


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_turn_that_has_ended_waits_for_no_collector(is_refused: bool) -> None:
    channel = ClientChannel(lambda _: None)
    buffer = ListenerBuffer(THREAD, channel)
    elicitor = Elicitor(channel, lambda _: True, 1.0)
    audience = ApiTurn(THREAD, buffer, elicitor, cast("Conversations", Decisions()))
    turn = ConversationTurn(TurnId("turn"), THREAD, b"[]", audience)
    if is_refused:
        audience.failed(Failure("overloaded", "no"))
        audience.attach(turn)
    else:
        audience.attach(turn)
        audience.succeeded(b'"done"')
    found = weakref.ref(audience)
    del audience, turn
    assert found() is None


@in_virtual_time
async def test_a_question_that_nobody_listens_to_has_a_deadline_too() -> None:
    written: list[bytes] = []
    conversations = Decisions()
    decisions = conversations.made
    channel = ClientChannel(written.append)
    buffer = ListenerBuffer(THREAD, channel)
    elicitor = Elicitor(channel, lambda _: True, 30.0)
    audience = ApiTurn(THREAD, buffer, elicitor, cast("Conversations", conversations))
    audience.attach(ConversationTurn(TurnId("turn"), THREAD, b"[]", audience))
    audience.asks(3, FormQuestion(server="s", message="?", form={}), "current")
    await asyncio.sleep(30.0)
    assert decisions == [(3, too_late(30.0))]
    buffer._questions.pop()()
    assert not written, "who listens too late is not asked"
    audience.asks(4, FormQuestion(server="s", message="?", form={}), "current")
    audience.succeeded(b'"done"')
    await asyncio.sleep(60.0)
    assert decisions == [(3, too_late(30.0))], "the end of the turn ends its questions"


@in_virtual_time
async def test_each_command_is_asked_for_with_its_own_reason_whatever_was_announced_last() -> None:
    written: list[bytes] = []
    channel = ClientChannel(written.append)
    buffer = ListenerBuffer(THREAD, channel)
    elicitor = Elicitor(channel, lambda _: True, 600.0)
    audience = ApiTurn(THREAD, buffer, elicitor, cast("Conversations", Decisions()))
    audience.attach(ConversationTurn(TurnId("turn"), THREAD, b"[]", audience))
    for number, reason in enumerate(("the first", "the second")):
        event = b'{"type":"exec_approval_request","call_id":"call_%d","reason":"%b"}' % (number, reason.encode())
        buffer.events(TurnId("turn"), event)
        question = CommandQuestion(
            call_id=f"call_{number}", command=["ls"], shell_text="ls", cwd="/", parts=[], reason=reason
        )
        audience.asks(number, question, "current")
    buffer.subscribe()
    messages = map(json.loads, written)
    asked = [message["params"] for message in messages if "id" in message]
    assert [(params["callId"], params["reason"]) for params in asked] == [
        ("call_0", "the first"),
        ("call_1", "the second"),
    ]
    audience.succeeded(b'"done"')
