"""Follows the turns of an instance, and writes their spans and events, many at a time.

What must be known while a turn runs is its place in its trace, of which its worker tells the model's servers. All else
is kept as it comes and written later: code that was not run for a while takes several times as long.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Concatenate, Final, ParamSpec

from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import Incarnation, TurnId
from greenroom.protocol.telemetry.timings import OpenPart, Timing
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Moment
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.trace import TracedCall, context_of, new_span_id, root_of
from greenroom.supervisor.telemetry.turn_records import Agent, Destination, TurnRecords

log = logging.getLogger(__name__)

MOST_UNWRITTEN: Final = 128
"""What is kept unwritten: beginnings, ends and parts of turns. To write so many takes one or two milliseconds."""

P = ParamSpec("P")


class TurnTracing:
    """Follows the turns of one instance (`greenroom.supervisor.conversations.state.turn.TurnProbe`)."""

    def __init__(self, to: Destination, *, sampler: Sampler = DEFAULT_ON, most_unwritten: int = MOST_UNWRITTEN) -> None:
        """`sampler` decides which traces are recorded. Where `to` has no spans, model servers are not told of any."""
        self._to, self._sampler, self._most_unwritten = to, sampler, most_unwritten
        self._open: dict[TurnId, TurnRecords] = {}
        self._unwritten: list[tuple[TurnRecords, Callable[..., None], tuple[object, ...]]] = []
        self._unwritten_parts = 0

    def accepted(self, turn: ConversationTurn) -> None:
        """Begin the trace of the call."""
        call = TracedCall(
            turn.conversation_id,
            turn.id,
            turn.kind,
            turn.origin,
            (turn.accepted_at or Moment.now()).at,
            events.user_prompt(turn.items, with_text=self._to.takes_prompts) if turn.items else None,
        )
        records = self._open[turn.id] = TurnRecords(self._to, call, root_of(self._sampler, call))
        self._later(records, TurnRecords.begin)

    def started(self, turn: ConversationTurn, incarnation: Incarnation) -> TraceContext | None:
        """Begin the span of the turn in its worker."""
        records = self._open.get(turn.id)
        if records is None:
            return None
        agent = Agent(new_span_id(), incarnation, time.time())
        self._later(records, TurnRecords.start, agent)
        return None if self._to.spans is None else context_of(records.root, agent.span_id)

    def timed(
        self, turn: ConversationTurn, timings: Sequence[Timing], dropped: int, open_parts: Sequence[OpenPart]
    ) -> None:
        """Keep what is complete, and what is under way."""
        records = self._open.get(turn.id)
        if records is not None and (timings or dropped or open_parts):
            self._unwritten_parts += len(timings)
            self._later(records, TurnRecords.time, timings, dropped, open_parts)

    def ended(self, turn: ConversationTurn, failure: Failure | None) -> None:
        """End the spans of the turn and of the call."""
        records = self._open.pop(turn.id, None)
        if records is not None:
            self._later(records, TurnRecords.end, time.time(), None if failure is None else failure.kind)

    def write(self) -> None:
        """Write what has been kept. What cannot be written is logged."""
        unwritten, self._unwritten, self._unwritten_parts = self._unwritten, [], 0
        for records, step, arguments in unwritten:
            try:
                step(records, *arguments)
            except Exception:
                about = records.call
                log.exception("turn %s of conversation %s cannot be traced", about.turn_id, about.conversation_id)

    def _later(
        self, records: TurnRecords, step: Callable[Concatenate[TurnRecords, P], None], *arguments: P.args, **_: P.kwargs
    ) -> None:
        self._unwritten.append((records, step, arguments))
        if len(self._unwritten) + self._unwritten_parts >= self._most_unwritten:
            self.write()
