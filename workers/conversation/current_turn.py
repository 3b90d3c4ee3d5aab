"""The turn that runs, or ran last: its id, settings, start and activity."""

import time

import msgspec

from greenroom.config.settings import Settings
from greenroom.protocol.ids import BEFORE_TURNS, TurnId
from greenroom.sessions.records.format import SessionRecord, turn_context
from greenroom.workers.conversation.turn_activity import TurnActivity


class CurrentTurn(msgspec.Struct):
    """Belongs to one conversation, and is shared by its parts."""

    settings: Settings
    """Those of the conversation, as this turn overrides them."""
    id: TurnId = BEFORE_TURNS
    compacts: bool = False
    """Whether the turn only compacts the history."""
    started_at: float = 0.0
    """In seconds since the epoch."""
    activity: TurnActivity = msgspec.field(default_factory=TurnActivity)

    def begin(self, turn_id: TurnId, *, compacts: bool) -> None:
        """Start another turn. Its settings are set before."""
        self.id = turn_id
        self.compacts = compacts
        self.started_at = time.time()
        self.activity = TurnActivity()

    def context_record(self) -> SessionRecord:
        """Return the session record of the settings of this turn."""
        settings = self.settings
        return turn_context(
            turn_id=self.id,
            cwd=settings.cwd,
            model=settings.model,
            approval_policy=settings.approval_policy,
            sandbox_policy=msgspec.to_builtins(settings.sandbox_policy),
            effort=settings.reasoning_effort,
        )
