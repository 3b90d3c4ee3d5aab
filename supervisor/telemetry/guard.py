"""A probe whose errors cost no turn."""

import logging
from collections.abc import Sequence

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import Incarnation
from greenroom.protocol.telemetry.timings import OpenPart, Timing
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.supervisor.conversations.state.turn import ConversationTurn, TurnProbe

log = logging.getLogger(__name__)


class GuardedProbe:
    """Passes everything on to another probe, and logs what that raises."""

    def __init__(self, probe: TurnProbe) -> None:
        self._probe = probe

    def accepted(self, turn: ConversationTurn) -> None:
        """Pass it on."""
        try:
            self._probe.accepted(turn)
        except Exception as error:
            _log(turn, error)

    def started(self, turn: ConversationTurn, incarnation: Incarnation) -> TraceContext | None:
        """Pass it on."""
        try:
            return self._probe.started(turn, incarnation)
        except Exception as error:
            _log(turn, error)
            return None

    def timed(
        self, turn: ConversationTurn, timings: Sequence[Timing], dropped: int, open_parts: Sequence[OpenPart]
    ) -> None:
        """Pass it on."""
        try:
            self._probe.timed(turn, timings, dropped, open_parts)
        except Exception as error:
            _log(turn, error)

    def ended(self, turn: ConversationTurn, failure: Failure | None) -> None:
        """Pass it on."""
        try:
            self._probe.ended(turn, failure)
        except Exception as error:
            _log(turn, error)


def _log(turn: ConversationTurn, error: Exception) -> None:
    log.error("turn %s of conversation %s cannot be traced", turn.id, turn.conversation_id, exc_info=error)
