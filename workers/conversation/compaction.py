"""Makes room in the model's context: a summary takes the place of all but the context and the latest user messages.

Rules that it keeps:

* It is due when the last response used as much as the model's limit. What no server has counted yet is estimated.
* What the user has said to the running turn stays word for word and in its order, however long it is. What of it the
  model has not answered yet stands behind the summary, and is not summed up.
* What the model was told of its surroundings stays in the history, so it is in every later request. Of the user's
  earlier messages the newest stay, within a budget. An earlier summary goes, the new one covers it.
* The history changes in one step, once the whole summary is there. Whatever goes wrong before leaves it as it was.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

from greenroom.protocol.errors import ModelError
from greenroom.protocol.items import JsonObject, text_parts
from greenroom.protocol.user_messages import SUMMARY_PREFIX, summary_message
from greenroom.sessions.format import SessionRecord, compacted
from greenroom.workers.conversation import event
from greenroom.workers.conversation.history import History, HistoryEntry
from greenroom.workers.conversation.message_limit import BYTES_PER_TOKEN
from greenroom.workers.conversation.prompt import TURN_ABORTED, message, user_message
from greenroom.workers.conversation.tokens import TokenCounter
from greenroom.workers.model.client import Model
from greenroom.workers.model.codec import Encoder
from greenroom.workers.model.outcome import ModelRequestError, error_info
from greenroom.workers.model.responses import Completed, ItemDone, ModelEvent, Usage
from greenroom.workers.model.retry import Retry

USER_BUDGET: Final = 20_000
"""Tokens of user messages that stay at most."""

USER_SHARE: Final = 4
"""At most one part in so many of the limit is left to user messages: local models have small contexts."""

DROPPED_SHARE: Final = 8
"""One part in so many of a history that does not fit is left out of the next attempt to summarise it."""

WARNING: Final = (
    "The earlier part of this conversation was replaced by a summary to make room. The more often that happens, the "
    "less exact the model becomes; for something new, a new conversation serves better."
)

_PASSING: Final = (SUMMARY_PREFIX.strip(), TURN_ABORTED)
"""Messages under the user's name that do not outlast a compaction."""

_NO_ROOM: Final = ("context length", "context size", "context window", "exceed_context_size", "prompt is too long")
"""How servers say it that have no code for it, or one of their own."""

Tell: TypeAlias = Callable[[JsonObject, bool], None]
"""Emits an event, and records it if the second argument is true."""


def lacks_room(error: ModelError) -> bool:
    """Tell whether a request failed because the context is full."""
    text = str(error).lower()
    return error_info(error) == "context_window_exceeded" or any(words in text for words in _NO_ROOM)


def shortened(history: History, summary: str, budget: int) -> list[JsonObject]:
    """Return the items that stand for `history` from now on. `budget` is that of user messages, in bytes."""
    running = {id(entry) for entry in history.inputs}
    entries, unanswered = _split(history)
    earlier = [entry for entry in entries if id(entry) not in running]
    # Of equal messages the last one counts: it may take back one in between.
    context = {entry.encoded: entry.item for entry in reversed(earlier) if is_context(entry)}
    left = max(0, budget - sum(entry.weight for entry in history.inputs))
    said = _latest([entry for entry in earlier if entry.is_user], left)
    answered = [entry.item for entry in entries if id(entry) in running]
    return [
        *reversed(context.values()),
        *said,
        *answered,
        summary_message(summary),
        *(entry.item for entry in unanswered),
    ]


class Compaction:
    """Watches over the size of one conversation's history, and shortens it."""

    def __init__(
        self,
        model: Model,
        encoder: Encoder,
        history: History,
        tokens: TokenCounter,
        tell: Tell,
        record: Callable[[SessionRecord], None],
        *,
        prompt: str,
        limit: int,
        window_number: int = 0,
    ) -> None:
        """`encoder` makes requests without tools; `limit` is in tokens; `window_number` counts earlier compactions."""
        self._model = model
        self._encoder = encoder
        self._history = history
        self._tokens = tokens
        self._tell = tell
        self._record = record
        self._prompt = prompt
        self._limit = limit
        self._window_number = window_number
        self._counted: tuple[int, int] | None = None
        """Tokens of the last response, and bytes of the history then."""
        self._is_vain = False
        """It failed, or did not help, in this turn: not to be tried before each further request."""
        self._rescued = False

    @property
    def used(self) -> int:
        """Tokens in the context."""
        size = self._history.size
        if self._counted is None:
            return (size + len(self._encoder.body(b"[]"))) // BYTES_PER_TOKEN
        tokens, size_then = self._counted
        return tokens + max(0, size - size_then) // BYTES_PER_TOKEN

    def begin_turn(self) -> None:
        """Let it be tried again, whatever came of it in the last turn."""
        self._is_vain = False
        self._rescued = False

    def note(self, usage: Usage | None) -> None:
        """Take note of a response whose items are in the history, before the outputs of its calls are."""
        self._rescued = False
        self._counted = None if usage is None or not usage.total_tokens else (usage.total_tokens, self._history.size)

    async def when_due(self) -> bool:
        """Compact if the limit is reached, and return whether that was done. A failure is told and ends nothing."""
        if self._is_vain or self.used < self._limit:
            return False
        if not self._can_shorten():
            self._is_vain = True
            return False
        try:
            await self.run()
        except ModelError as error:
            self._is_vain = True
            text = f"The conversation could not be shortened, and goes on at full length: {error}"
            self._tell({"type": "warning", "message": text}, False)
            return False
        self._is_vain = self.used >= self._limit
        return True

    async def rescue(self, error: ModelError) -> bool:
        """Make room if `error` says that there is none, and return whether the request is worth repeating.

        The limit may be wrong: of a model that the catalogue does not know, and of a local server's, nobody told us.
        """
        if self._rescued or not lacks_room(error) or not self._can_shorten():
            return False
        self._rescued = True
        self._tell(event.stream_error(f"{error} Making room and asking again…"), False)
        try:
            await self.run()
        except ModelError:
            return False
        return True

    async def run(self) -> None:
        """Compact. Raises `ModelError`; then, and when it is cancelled, the history is as it was."""
        summary, usage = await self._summary()
        items = self._shortened(summary)
        self._history.replace(items)
        self._counted = None
        self._window_number += 1
        if usage is not None:
            self._tell(self._tokens.add(usage), True)
        self._record(compacted(summary, items, self._window_number))
        self._tell(self._tokens.estimated(self.used), True)
        self._tell({"type": "context_compacted"}, True)
        self._tell({"type": "warning", "message": WARNING}, False)

    def _shortened(self, summary: str) -> list[JsonObject]:
        return shortened(self._history, summary, min(USER_BUDGET, self._limit // USER_SHARE) * BYTES_PER_TOKEN)

    def _can_shorten(self) -> bool:
        """Tell whether the history holds more than would stay beside a summary."""
        staying = self._shortened("")
        staying.remove(summary_message(""))
        return staying != [entry.item for entry in self._history]

    async def _summary(self) -> tuple[str, Usage | None]:
        answered, _ = _split(self._history)
        draft = self._history.copy(len(answered))
        while True:
            try:
                return await self._ask(draft)
            except ModelError as error:
                if not (lacks_room(error) and _drop(draft)):
                    raise

    async def _ask(self, draft: History) -> tuple[str, Usage | None]:
        asked = draft.copy()
        asked.append(user_message([{"type": "text", "text": self._prompt}]))
        texts: list[str] = []
        usage: Usage | None = None
        body = self._encoder.body(asked.encoded_input(with_members=self._encoder.takes_members))
        async for model_event in self._events(body, texts.clear):
            match model_event:
                case ItemDone(item) if item.get("type") == "message":
                    texts.append("".join(text_parts(item)))
                case Completed():
                    usage = model_event.usage
        if not (texts and texts[-1].strip()):
            raise ModelRequestError("the model gave no summary")
        return texts[-1], usage

    async def _events(self, body: bytes, forget: Callable[[], None]) -> AsyncIterator[ModelEvent]:
        def start_over(retry: Retry) -> None:
            forget()
            self._tell(event.stream_error(retry.text), False)

        async with aclosing(self._model.stream(body, start_over)) as batches:
            async for events in batches:
                for model_event in events:
                    yield model_event


def _split(history: History) -> tuple[list[HistoryEntry], list[HistoryEntry]]:
    """Return the entries up to the last one that the user did not say to the running turn, and those behind it."""
    entries = list(history)
    running = {id(entry) for entry in history.inputs}
    end = len(entries)
    while end and id(entries[end - 1]) in running:
        end -= 1
    return entries[:end], entries[end:]


def _drop(draft: History) -> bool:
    """Forget the oldest part of a history. Return false when nothing would be left."""
    enough = draft.size - draft.size // DROPPED_SHARE
    draft.drop_oldest()
    while draft.size > enough and draft.drop_oldest():
        pass
    return len(draft) > 0


def is_context(entry: HistoryEntry) -> bool:
    """Tell whether an entry tells the model of its surroundings, so that it outlasts a compaction."""
    if entry.role == "developer":
        return True
    if entry.role != "user" or entry.is_user:
        return False
    return not any(text.strip().startswith(_PASSING) for text in text_parts(entry.item))


def _latest(said: list[HistoryEntry], left: int) -> list[JsonObject]:
    """Return the newest messages up to so much weight, and the beginning of the one that no longer fits."""
    kept: list[JsonObject] = []
    for entry in reversed(said):
        if entry.weight > left:
            kept.extend(_beginning(entry.item, left))
            break
        kept.append(entry.item)
        left -= entry.weight
    return kept[::-1]


def _beginning(item: JsonObject, size: int) -> list[JsonObject]:
    """Return a message cut down to so many bytes of text, without its images; nothing where no text is left."""
    whole = "\n".join(text_parts(item))
    text = whole.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
    cut = message("user", text if text == whole else f"{text} […]") if text.strip() else None
    return [] if cut is None else [cut]
