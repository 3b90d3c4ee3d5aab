"""The notices that one conversation sends to the supervisor, other than its events and the ends of its turns."""

from typing import TYPE_CHECKING, TypedDict

from greenroom.protocol.approval import AnyQuestion, encode_question
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.header import Addressed
from greenroom.protocol.internal.worker.notices import (
    AskUser,
    CommandsEnded,
    HelperLost,
    Steered,
    SteeringRefused,
    TurnStep,
)
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.event_sink import EventSink

if TYPE_CHECKING:
    from greenroom.workers.sandbox.launcher import Loss


class _Address(TypedDict):
    conversation_id: ConversationId
    incarnation: Incarnation


class ConversationNotices:
    """Belongs to one incarnation of a conversation."""

    def __init__(self, mailbox: EventSink, operation: Addressed, turn: CurrentTurn) -> None:
        """`operation` opened the conversation."""
        self._mailbox = mailbox
        self._address = _Address(conversation_id=operation.conversation_id, incarnation=operation.incarnation)
        self._turn = turn

    def ask_user(self, question_id: int, question: AnyQuestion) -> None:
        """Send a question of the running turn."""
        turn = self._turn
        notice = AskUser(**self._address, turn_id=turn.id, question_id=question_id, form=turn.settings.event_form)
        self._mailbox.notify(notice, encode_question(question))

    def step(self, text: str) -> None:
        """Send a step of the running turn, unless the supervisor is slow to read."""
        if not self._mailbox.pressed:
            self._mailbox.notify(TurnStep(**self._address, turn_id=self._turn.id, text=text))

    def steered(self, input_id: TurnId) -> None:
        """Report that a further message is in the history of the running turn."""
        self._mailbox.notify(Steered(**self._address, input_id=input_id))

    def steering_refused(self, input_id: TurnId, error: GreenroomError) -> None:
        """Report that a further message was refused."""
        facts = {**error.facts}
        self._mailbox.notify(
            SteeringRefused(**self._address, input_id=input_id, error_kind=error.kind, message=str(error), facts=facts)
        )

    def commands_ended(self) -> None:
        """Report that between two turns the last background command has ended."""
        self._mailbox.notify(CommandsEnded(**self._address))

    def helper_lost(self, loss: "Loss") -> None:
        """Report the loss of a process that starts commands or watches over one."""
        self._mailbox.notify(
            HelperLost(
                role=loss.role,
                pid=loss.pid,
                is_shared=loss.is_shared,
                returncode=loss.returncode,
                max_rss=loss.max_rss,
                cause=loss.cause,
            )
        )
