"""A message's turn leaves nothing behind once it has ended."""

import weakref

import pytest

from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import Peer
from greenroom.protocol.mcp.handshake import Failure
from greenroom.supervisor.conversations.turn import Turn
from greenroom.supervisor.frontend.conversation_api.listener_buffer import ListenerBuffer
from greenroom.supervisor.frontend.conversation_api.turn_audience import ApiTurn
from greenroom.supervisor.frontend.elicitor import Elicitor

THREAD = ConversationId("0199")


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_turn_that_has_ended_waits_for_no_collector(is_refused: bool) -> None:
    hearing = ListenerBuffer(THREAD, lambda _: None)
    elicitor = Elicitor(Peer(), lambda _: None, lambda _: True, 1.0)
    audience = ApiTurn(THREAD, hearing, elicitor, lambda *_: None)
    turn = Turn(TurnId("turn"), THREAD, b"[]", audience)
    if is_refused:
        audience.failed(Failure("overloaded", "no"))
        audience.attach(turn)
    else:
        audience.attach(turn)
        audience.succeeded(b'"done"')
    found = weakref.ref(audience)
    del audience, turn
    assert found() is None
