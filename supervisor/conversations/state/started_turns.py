"""The turns that no call waits for: how many are under way, and how the last ones ended. Free of I/O.

Outcomes are kept for a while, a limited number of them and of bytes. Later on the session file tells how a turn ended.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.conversations.state.turn import TurnUsage

KEPT: Final = 200
"""Outcomes that are kept."""
KEPT_SECONDS: Final = 3600.0
"""For how long an outcome is kept."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of last messages that are kept together."""

TurnEnd: TypeAlias = Literal["completed", "failed", "aborted"]


class FinishedTurn(msgspec.Struct, frozen=True):
    """The outcome of a turn."""

    id: TurnId
    conversation_id: ConversationId
    last_message: bytes
    """The agent's last message as a JSON string."""
    failure: Failure | None = None
    usage: TurnUsage | None = None

    @property
    def end(self) -> TurnEnd:
        """How it ended."""
        if self.failure is None:
            return "completed"
        return "aborted" if self.failure.kind == "turn_aborted" else "failed"


class StartedTurns:
    """Those of all clients of one server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self.under_way = 0
        """Turns that have not ended."""
        self._clock = clock
        self._finished: OrderedDict[TurnId, tuple[float, FinishedTurn]] = OrderedDict()
        self._bytes = 0

    def begin(self) -> None:
        """Count a turn that is started."""
        self.under_way += 1

    def end(self, finished: FinishedTurn) -> None:
        """Keep the outcome of a turn that was started."""
        self.under_way -= 1
        self._finished[finished.id] = (self._clock(), finished)
        self._bytes += len(finished.last_message)
        self._drop_old()

    def find(self, turn_id: TurnId) -> FinishedTurn | None:
        """Return the outcome of a turn, `None` where it is not kept."""
        self._drop_old()
        found = self._finished.get(turn_id)
        return None if found is None else found[1]

    def last_of(self, conversation_id: ConversationId) -> FinishedTurn | None:
        """Return the outcome that is the latest of a conversation among those that are kept."""
        self._drop_old()
        kept = (finished for _, finished in reversed(self._finished.values()))
        return next((finished for finished in kept if finished.conversation_id == conversation_id), None)

    def _drop_old(self) -> None:
        oldest = self._clock() - KEPT_SECONDS
        while self._finished:
            at, finished = next(iter(self._finished.values()))
            if at >= oldest and len(self._finished) <= KEPT and self._bytes <= KEPT_BYTES:
                return
            del self._finished[finished.id]
            self._bytes -= len(finished.last_message)
