"""A question to the user that waits for its decision. It is decided once: by whichever decision comes first."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.ids import uuid7
from greenroom.supervisor.conversations.state.turn import ConversationTurn

_serials: Final = count(time.time_ns())
"""Begins with the time, so that later runs of the server go on with larger numbers."""


class OpenQuestion(msgspec.Struct, eq=False):
    """Kept with the running turn (`greenroom.supervisor.conversations.state.conversation.Pulse`) until it is
    decided."""

    number: int
    """Its number in the process that asks."""
    turn: ConversationTurn
    question: AnyQuestion
    id: str = msgspec.field(default_factory=uuid7)
    """Names it for clients and operators."""
    serial: int = msgspec.field(default_factory=lambda: next(_serials))
    """Larger than that of every earlier question."""
    asked_at: float = msgspec.field(default_factory=time.time)
    """Seconds since the epoch."""
    on_decided_elsewhere: Callable[[Decision], None] | None = None
    """Withdraws it from the client that was asked; called with the decision where that came from elsewhere."""
    deadline: float | None = None
    """When it is declined, in seconds since the epoch; `None` where only the client that was asked has a deadline."""
    timer: asyncio.TimerHandle | None = None
    """Declines it then."""

    def close(self) -> None:
        """Let nothing happen at the deadline: it is decided, or its turn has ended."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
