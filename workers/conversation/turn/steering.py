"""The user's further messages to a running turn, which reads them before its next request."""

from collections import deque

from greenroom.protocol.errors import PromptTooLongError
from greenroom.protocol.internal.worker.operations import Steer
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.notices import ConversationNotices
from greenroom.workers.conversation.turn.user_input import ReceivedMessage, UserInput


class SteeringQueue:
    """Belongs to one conversation. The supervisor queues messages that no turn has taken as turns of their own."""

    def __init__(self, turn: CurrentTurn, user_input: UserInput, notices: ConversationNotices) -> None:
        self._turn = turn
        self._input = user_input
        self._notices = notices
        self._waiting: deque[tuple[Steer, ReceivedMessage]] = deque()

    def put(self, operation: Steer, items: bytes) -> None:
        """Queue a message: a JSON array of input items. One that would not fit into any turn is refused at once."""
        message = self._input.read(items)
        try:
            self._input.check(message)
        except PromptTooLongError as error:
            self._notices.steering_refused(operation.input_id, error)
        else:
            self._waiting.append((operation, message))

    async def take(self) -> bool:
        """Append the messages for the running turn to its history, and return whether there were any.

        A message that does not fit beside the turn's earlier ones waits, with those after it, for a turn of its own.
        Messages for earlier turns are dropped: the supervisor has queued them by now.
        """
        taken = False
        while self._waiting:
            operation, message = self._waiting[0]
            if operation.turn_id == self._turn.id:
                if not self._input.fits(message):
                    return taken
                taken = True
                await self._input.accept(message)
                self._notices.steered(operation.input_id)
            self._waiting.popleft()
        return taken
