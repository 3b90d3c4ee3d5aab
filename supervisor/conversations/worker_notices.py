"""What the workers of conversations send: events and notices, each passed to what it concerns."""

import logging
from typing import assert_never

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import TurnId, WorkerId
from greenroom.protocol.internal.worker.header import Addressed
from greenroom.protocol.internal.worker.notices import (
    AskUser,
    CommandsEnded,
    Heartbeat,
    HelperLost,
    JobDone,
    JobReport,
    Opened,
    OpenFailed,
    Ready,
    ReceivedNotice,
    RequestServed,
    Steered,
    SteeringRefused,
    TurnEnded,
    TurnStep,
    WorkerMeasured,
    WorkerNotice,
)
from greenroom.supervisor.conversations.client_requests import ClientRequests
from greenroom.supervisor.conversations.scheduler import ConversationScheduler
from greenroom.supervisor.conversations.state.conversation import Conversation

log = logging.getLogger(__name__)


class WorkerNotices:
    """Takes what the workers of all conversations send. What comes from an earlier incarnation is dropped."""

    def __init__(self, scheduler: ConversationScheduler, requests: ClientRequests) -> None:
        self._scheduler = scheduler
        self._assignments = scheduler.assignments
        self._turns = scheduler.turns
        self._requests = requests

    def receive_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        """Handle events of a worker, which has one conversation and one incarnation of it in its life."""
        conversation = self._assignments.conversation_of(worker_id)
        if conversation is not None:
            self._turns.note_sign_of_life(conversation)
            self._turns.pass_on(conversation, turn_id, events)

    def receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        """Handle a notice of a worker; one that is not of the present incarnation is dropped."""
        notice, payload = received.notice, received.payload
        conversation = self._assignments.conversation_of(worker_id)
        if conversation is None or not _is_current(conversation, notice):
            log.debug("worker %s: %s from the past; dropped", worker_id, notice.wire.decode())
            return
        self._turns.note_sign_of_life(conversation)
        match notice:
            case Heartbeat():
                self._turns.note(conversation, notice)
            case TurnStep():
                self._turns.report_step(conversation, notice)
            case AskUser():
                self._turns.pass_question_on(conversation, notice, payload)
            case Steered() | SteeringRefused():
                self._turns.steered(conversation, notice)
            case TurnEnded():
                self._turns.end(conversation, notice, payload)
            case CommandsEnded():
                conversation.open_commands = 0
            case Opened():
                self._turns.opened(conversation, notice, payload)
            case OpenFailed() if notice.lacks_directory and self._scheduler.go_elsewhere(conversation, notice.message):
                pass
            case OpenFailed():
                self._scheduler.close(conversation, Failure(notice.error_kind, notice.message))
            case Ready() | WorkerMeasured() | RequestServed() | JobReport() | JobDone() | HelperLost():
                log.debug("worker %s: %s does not belong to its conversation", worker_id, notice.wire.decode())
            case _:
                assert_never(notice)

    def receive_result(self, worker_id: WorkerId, notice: RequestServed, result: bytes) -> None:
        """Handle the end of what a client has asked beside the turns."""
        conversation = self._assignments.conversation_of(worker_id)
        if conversation is not None and _is_current(conversation, notice):
            self._requests.receive(conversation, notice, result)


def _is_current(conversation: Conversation, notice: WorkerNotice) -> bool:
    return (
        isinstance(notice, Addressed)
        and notice.conversation_id == conversation.id
        and notice.incarnation == conversation.incarnation
    )
