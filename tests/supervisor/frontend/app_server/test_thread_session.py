"""When a client is told of the end of a turn: once the turn has ended for the supervisor too, and in order."""

from typing import Any

import msgspec
import pytest

from greenroom.protocol.events.turn import TaskComplete, TaskStarted, TurnAborted, WarningEvent
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession

THREAD, TURN, OTHER = ConversationId("thread"), TurnId("turn"), TurnId("other")
BEGIN = TaskStarted(turn_id=TURN, started_at=1, model_context_window=None, collaboration_mode_kind="default")
COMPLETE = TaskComplete(turn_id=TURN, last_agent_message="Done.", started_at=1, completed_at=2, duration_ms=1000)
ABORTED = TurnAborted(turn_id=TURN, reason="interrupted", started_at=1, completed_at=2, duration_ms=1000)


class Told:
    """A session, and the methods of what its client has been told."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self.session = ThreadSession(THREAD, AppServerChannel(self._messages.append, lambda: "any/1"))
        self.session.release()

    def take(self) -> list[str]:
        messages: list[dict[str, Any]] = [msgspec.json.decode(one) for one in self._messages]
        self._messages.clear()
        return [str(message["method"]) for message in messages]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize("end", [COMPLETE, ABORTED])
def test_a_turn_ends_for_the_client_when_it_has_ended_for_the_supervisor(
    told: Told, end: TaskComplete | TurnAborted
) -> None:
    told.session.events(TURN, encode(BEGIN))
    assert told.take() == ["thread/status/changed", "turn/started"]
    told.session.events(TURN, encode(end))
    told.session.events(TURN, encode(WarningEvent(message="behind the end")))
    assert told.take() == []
    assert told.session.running == TURN
    told.session.turn_ended(OTHER)
    assert told.take() == [], "the end of refused input is not that of the turn"
    told.session.turn_ended(TURN)
    assert told.take() == ["thread/status/changed", "turn/completed", "warning"]
    assert told.session.running is None


def test_a_turn_of_which_its_worker_told_no_end_ends_once(told: Told) -> None:
    told.session.begin(TURN, None)
    told.session.events(TURN, encode(BEGIN))
    told.take()
    told.session.turn_ended(TURN)
    assert told.take().count("turn/completed") == 1
