"""A conversation as the supervisor keeps it: where it stands, who hosts it, and the turns that wait for it."""

from collections import deque
from dataclasses import dataclass, field

from protocol.ids import ConversationId, Incarnation, WorkerId
from supervisor import lifecycle
from supervisor.turn import Turn

NOT_YET = Incarnation(0)
"""No process has hosted the conversation."""


@dataclass(slots=True, eq=False)
class Conversation:
    """Its state changes only through `happen`, as the table of `supervisor.lifecycle` allows."""

    id: ConversationId
    overrides: bytes
    """What the opening call set, as a JSON object."""
    resume: bool
    """Whether there may be a session file to go on from."""
    state: lifecycle.State = "new"
    incarnation: Incarnation = NOT_YET
    worker_id: WorkerId | None = None
    running: Turn | None = None
    queue: deque[Turn] = field(default_factory=deque)

    def happen(self, happening: lifecycle.Happening) -> None:
        """Go to the state that follows. Raises `LocalProtocolError` where the table has none."""
        self.state = lifecycle.after(self.state, happening)

    def take_all_turns(self) -> list[Turn]:
        """Take the running turn and those that wait, in order, out of the conversation."""
        turns = [turn for turn in (self.running, *self.queue) if turn is not None]
        self.running = None
        self.queue.clear()
        return turns
