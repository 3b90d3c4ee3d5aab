"""Tells the supervisor each step of a turn as it begins and ends, so that a client that asked for it sees them."""

from collections.abc import Callable
from typing import Final

from greenroom.protocol.items import JsonObject
from greenroom.runtime.throttle import Throttle
from greenroom.workers.conversation import step

INTERVAL: Final = 0.25
"""Least seconds between two steps that are told; the latest of those between them is told when they are over."""


class StepReporter:
    """Belongs to one conversation; made anywhere, used on the running loop."""

    def __init__(self, send: Callable[[str], None], tokens: Callable[[], int]) -> None:
        """`send` takes a step in words, `tokens` returns how many the conversation has used."""
        self._news = Throttle(INTERVAL, send)
        self._tokens = tokens
        self._open: dict[str, str] = {}

    @property
    def present(self) -> str:
        """What has begun last and has not ended; empty where nothing is under way."""
        return next(reversed(self._open.values()), "")

    def begin_turn(self) -> None:
        """Let what follows belong to another turn."""
        self._open.clear()
        self._news.forget()

    def take(self, event: JsonObject) -> None:
        """Take an event, and tell the step that it is, if it is one."""
        if (new := step.begun(event)) is not None:
            call_id, words = new
            self._open[call_id] = words = self._with_tokens(words)
            self._news.offer(words)
        elif (words_done := step.done(event)) is not None:
            self._open.pop(str(event.get("call_id")), None)
            self._news.offer(self._with_tokens(words_done))

    def stop(self) -> None:
        """Tell nothing more."""
        self._news.stop()

    def _with_tokens(self, words: str) -> str:
        used = self._tokens()
        tail = f" ({used:,} tokens)" if used else ""
        return step.one_line(words, step.LONGEST - len(tail)) + tail
