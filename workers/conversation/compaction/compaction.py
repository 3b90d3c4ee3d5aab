"""Makes room in the model's context: a summary replaces all but the context and the user's latest messages.

Rules that it keeps:

* A compaction is due when the last response used as many tokens as the limit. Tokens that no server has counted yet are
  estimated.
* The history changes in one step, once the summary is complete. A failure or a cancellation leaves it as it was.
* What stays is decided by `greenroom.workers.conversation.compaction.compacted_history`.
"""

from typing import Final, Protocol

from greenroom.protocol.errors import ModelError
from greenroom.protocol.events.turn import ContextCompacted
from greenroom.sessions.records.format import SessionRecord, compacted
from greenroom.workers.conversation.compaction.compacted_history import can_shorten, shortened
from greenroom.workers.conversation.compaction.summarizer import Summarizer, lacks_room
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.prompt.message_limit import BYTES_PER_TOKEN
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.model.responses import ResponseUsage

USER_BUDGET: Final = 20_000
"""Tokens of user messages that stay at most."""

USER_SHARE: Final = 4
"""At most one part in so many of the limit is left to user messages: local models have small contexts."""

WARNING: Final = (
    "The earlier part of this conversation was replaced by a summary to make room. The more often that happens, the "
    "less exact the model becomes; for something new, a new conversation serves better."
)


class TurnContext(Protocol):
    """The turn in which a compaction happens (`greenroom.workers.conversation.current_turn.CurrentTurn`)."""

    def context_record(self) -> SessionRecord:
        """Return the record of the settings that the compacted history describes."""


class Compaction:
    """Measures one conversation's history, and shortens it."""

    def __init__(
        self,
        summarizer: Summarizer,
        transcript: Transcript,
        tokens: TokenCounter,
        turn: TurnContext,
        *,
        limit: int,
        window_number: int = 0,
    ) -> None:
        """`limit` is in tokens; `window_number` counts earlier compactions."""
        self._summarizer = summarizer
        self._transcript = transcript
        self._history = transcript.history
        self._tokens = tokens
        self._turn = turn
        self._limit = limit
        self._budget = min(USER_BUDGET, limit // USER_SHARE) * BYTES_PER_TOKEN
        self._window_number = window_number
        self._measured: tuple[int, int] | None = None
        """Tokens of the last response, and bytes of the history then."""
        self._is_futile = False
        """Whether a compaction failed or did not help in this turn: it is not tried before each further request."""
        self._rescued = False

    @property
    def used(self) -> int:
        """Tokens in the context."""
        size = self._history.size
        if self._measured is None:
            return (size + self._summarizer.overhead) // BYTES_PER_TOKEN
        tokens, size_then = self._measured
        return tokens + max(0, size - size_then) // BYTES_PER_TOKEN

    def begin_turn(self) -> None:
        """Allow compactions again after one that failed in the last turn."""
        self._is_futile = False
        self._rescued = False

    def note(self, usage: ResponseUsage | None) -> None:
        """Measure a response whose items are in the history, before the outputs of its calls are."""
        self._rescued = False
        self._measured = None if usage is None or not usage.total_tokens else (usage.total_tokens, self._history.size)

    async def when_due(self) -> bool:
        """Compact if the limit is reached, and return whether that was done. A failure is a warning."""
        if self._is_futile or self.used < self._limit:
            return False
        if not can_shorten(self._history, self._budget):
            self._is_futile = True
            return False
        try:
            await self.run()
        except ModelError as error:
            self._is_futile = True
            self._transcript.warn(f"The conversation could not be shortened, and goes on at full length: {error}")
            return False
        self._is_futile = self.used >= self._limit
        return True

    async def rescue(self, error: ModelError) -> bool:
        """Compact if `error` says that the context is full, and return whether the request is worth repeating.

        The limit may be wrong: it is unknown for models that are not in the catalogue and for those of local servers.
        """
        if self._rescued or not lacks_room(error) or not can_shorten(self._history, self._budget):
            return False
        self._rescued = True
        self._transcript.emit_now(event.stream_error(f"{error} Making room and asking again…"))
        try:
            await self.run()
        except ModelError:
            return False
        return True

    async def run(self) -> None:
        """Compact. Raises `ModelError`; then, and when it is cancelled, the history is as it was."""
        summary, usage = await self._summarizer.summary()
        items = shortened(self._history, summary, self._budget)
        self._history.replace(items)
        self._measured = None
        self._window_number += 1
        transcript = self._transcript
        if usage is not None:
            transcript.emit_now(self._tokens.add(usage), keep=True)
        transcript.record(compacted(summary, items, self._window_number), self._turn.context_record())
        transcript.emit_now(self._tokens.estimated(self.used), keep=True)
        transcript.emit_now(ContextCompacted(), keep=True)
        transcript.warn(WARNING)
