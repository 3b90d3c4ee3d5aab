"""Asks the model for the summary of a history. A history that does not fit loses its oldest items first."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from greenroom.protocol.errors import ModelError
from greenroom.protocol.items import text_parts
from greenroom.workers.conversation.compaction.compacted_history import split_history
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.model_connection import ModelSource
from greenroom.workers.conversation.prompt.prompt import input_message
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.model.codec import Encoder
from greenroom.workers.model.outcome.attempt import ModelRequestError, error_info
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.responses import Completed, ItemDone, ModelEvent, ResponseUsage

DROPPED_SHARE: Final = 8
"""A history that does not fit loses one part in so many before the next attempt to summarise it."""

_NO_ROOM: Final = ("context length", "context size", "context window", "exceed_context_size", "prompt is too long")
"""Texts of servers that have no error code for a full context, or one of their own."""


class Summarizer:
    """Belongs to one conversation."""

    def __init__(self, model: ModelSource, encoder: Encoder, transcript: Transcript, prompt: str) -> None:
        """`encoder` makes requests without tools; `prompt` asks for the summary."""
        self._model = model
        self._encoder = encoder
        self._transcript = transcript
        self._prompt = prompt

    @property
    def overhead(self) -> int:
        """Bytes of a request without a history."""
        return len(self._encoder.body(b"[]"))

    async def summary(self) -> tuple[str, ResponseUsage | None]:
        """Return a summary of the history up to the last answer, and its cost. Raises `ModelError` or `StartError`."""
        history = self._transcript.history
        answered, _ = split_history(history)
        draft = history.copy(len(answered))
        while True:
            try:
                return await self._ask(draft)
            except ModelError as error:
                if not (lacks_room(error) and _drop_oldest_part(draft)):
                    raise

    async def _ask(self, draft: History) -> tuple[str, ResponseUsage | None]:
        request = draft.copy()
        request.append(input_message([{"type": "text", "text": self._prompt}]))
        texts: list[str] = []
        usage: ResponseUsage | None = None
        body = self._encoder.body(request.encoded_input(with_members=self._encoder.takes_members))
        async for model_event in self._events(body, texts.clear):
            match model_event:
                case ItemDone(item) if item.get("type") == "message":
                    texts.append("".join(text_parts(item)))
                case Completed():
                    usage = model_event.usage
        if not (texts and texts[-1].strip()):
            raise ModelRequestError("the model gave no summary")
        return texts[-1], usage

    async def _events(self, body: bytes, discard: Callable[[], None]) -> AsyncIterator[ModelEvent]:
        def start_over(retry: Retry) -> None:
            discard()
            self._transcript.emit_now(event.stream_error(retry.text))

        client = await self._model.client()
        async with aclosing(client.stream(body, start_over)) as batches:
            async for events in batches:
                for model_event in events:
                    yield model_event


def lacks_room(error: ModelError) -> bool:
    """Return whether a request failed because the context is full."""
    text = str(error).lower()
    return error_info(error) == "context_window_exceeded" or any(words in text for words in _NO_ROOM)


def _drop_oldest_part(draft: History) -> bool:
    """Remove the oldest part of a history. Return false where nothing would be left."""
    enough = draft.size - draft.size // DROPPED_SHARE
    draft.drop_oldest()
    while draft.size > enough and draft.drop_oldest():
        pass
    return len(draft) > 0
