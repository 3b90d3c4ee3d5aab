"""What a client is told of the ends of turns, and when a subscription begins to tell."""

import json
from typing import Any

import pytest

from greenroom.protocol.events.turn import TaskComplete, TaskStarted, TurnAborted, WarningEvent
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import encode
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession

TURN, OTHER = TurnId("1"), TurnId("2")
BEGIN = TaskStarted(turn_id=TURN, started_at=1, model_context_window=None, collaboration_mode_kind="default")
COMPLETE = TaskComplete(turn_id=TURN, last_agent_message="Done.", started_at=1, completed_at=2, duration_ms=1000)
ABORTED = TurnAborted(turn_id=TURN, reason="interrupted", started_at=1, completed_at=2, duration_ms=1000)


class Told:
    """One subscription, and what its client has been told."""

    def __init__(self, *, released: bool = True) -> None:
        self._lines: list[bytes] = []
        self.session = ThreadSession(ConversationId("t"), AppServerChannel(self._lines.append, str))
        if released:
            self.session.release()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]

    @property
    def methods(self) -> list[str]:
        return [message["method"] for message in self.messages]


def test_a_turn_that_cannot_begin_fails_with_an_error_that_says_why() -> None:
    told = Told()
    told.session.begin(TURN, None)
    told.session.failed(TURN, Failure("start_failed", "no process"))
    told.session.turn_ended(TURN)
    assert told.methods == ["error", "thread/status/changed", "turn/completed"]
    error, _, ended = (message["params"] for message in told.messages)
    assert (error["error"]["message"], error["willRetry"], error["turnId"]) == ("no process", False, TURN)
    assert ended["turn"]["status"] == "failed"
    assert ended["turn"]["error"] == error["error"]


def test_a_turn_that_is_given_up_before_it_begins_is_interrupted_without_an_error() -> None:
    told = Told()
    told.session.begin(TURN, None)
    told.session.failed(TURN, Failure("turn_aborted", "interrupted"))
    told.session.turn_ended(TURN)
    assert told.methods == ["thread/status/changed", "turn/completed"]
    assert told.messages[-1]["params"]["turn"]["status"] == "interrupted"


def test_the_end_of_another_clients_turn_that_never_began_is_no_matter() -> None:
    told = Told()
    told.session.turn_ended(TURN)
    assert told.methods == []


def test_nothing_is_told_before_the_client_knows_of_the_thread() -> None:
    told = Told(released=False)
    told.session.begin(TURN, None)
    told.session.failed(TURN, Failure("start_failed", "no process"))
    told.session.turn_ended(TURN)
    assert told.methods == []
    told.session.release()
    assert told.methods[-1] == "turn/completed"


@pytest.mark.parametrize("end", [COMPLETE, ABORTED])
def test_a_turn_ends_for_the_client_when_it_has_ended_for_the_supervisor(end: TaskComplete | TurnAborted) -> None:
    told = Told()
    begun = ["thread/status/changed", "turn/started"]
    told.session.events(TURN, encode(BEGIN))
    assert told.methods == begun
    told.session.events(TURN, encode(end))
    told.session.events(TURN, encode(WarningEvent(message="behind the end")))
    told.session.turn_ended(OTHER)
    assert told.methods == begun, "the end of refused input is not that of the turn"
    assert told.session.running == TURN
    told.session.turn_ended(TURN)
    assert told.methods == [*begun, "thread/status/changed", "turn/completed", "warning"]
    assert told.session.running is None
