"""The questions of running turns that wait for a decision."""

from collections.abc import Callable

from greenroom.protocol.approval import Decision
from greenroom.supervisor.conversations.state.known_conversations import ConversationTable
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.conversations.turns import Turns


class OpenQuestions:
    """Those of all conversations."""

    def __init__(self, table: ConversationTable, turns: Turns) -> None:
        self._table = table
        self._turns = turns

    def decide(self, turn: ConversationTurn, question_id: int, decision: Decision, *, elsewhere: bool = False) -> bool:
        """Pass on the answer to a question, and return whether that decided it.

        Ignored once the question is decided, or the turn has ended or been interrupted. `elsewhere`: the decision is
        not that of the client that was asked, from which the question is then withdrawn.
        """
        conversation = self._table.find(turn.conversation_id)
        if conversation is None or conversation.running is not turn or turn.interrupted:
            return False
        return self._turns.decide(conversation, question_id, decision, elsewhere=elsewhere)

    def waiting(self) -> list[OpenQuestion]:
        """Return the questions that wait for a decision, the oldest first."""
        pulses = [conversation.pulse for conversation in self._turns.running if conversation.pulse is not None]
        found = [question for pulse in pulses for question in pulse.questions.values()]
        open_now = (question for question in found if not question.turn.interrupted)
        return sorted(open_now, key=lambda question: question.serial)

    def on_asked(self, listener: Callable[[OpenQuestion], None]) -> None:
        """Call `listener` with each question that is not decided at once."""
        self._turns.on_question = listener

    def on_decided_elsewhere(
        self, turn: ConversationTurn, question_id: int, withdraw: Callable[[Decision], None]
    ) -> None:
        """Call `withdraw` with the decision where an open question is decided by another than the client asked."""
        conversation = self._table.find(turn.conversation_id)
        pulse = None if conversation is None or conversation.running is not turn else conversation.pulse
        question = None if pulse is None else pulse.questions.get(question_id)
        if question is not None:
            question.on_decided_elsewhere = withdraw
