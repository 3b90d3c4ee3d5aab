"""Reports each step of a turn as it begins and ends, for clients that asked for progress notifications."""

from collections.abc import Callable
from typing import Final

from greenroom.protocol.events.event import Event
from greenroom.runtime.throttle import Throttle
from greenroom.workers.conversation import step
from greenroom.workers.conversation.usage.tokens import TokenCounter

INTERVAL: Final = 0.25
"""Minimum seconds between two reports; of the steps in between the latest is reported at their end."""


class StepReporter:
    """Belongs to one conversation; made anywhere, used on the running loop."""

    def __init__(self, send: Callable[[str], None], tokens: TokenCounter) -> None:
        """`send` takes the text of a step."""
        self._throttle = Throttle(INTERVAL, send)
        self._tokens = tokens
        self._open: dict[str, str] = {}
        self.are_wanted = False
        """Whether steps are reported."""

    @property
    def present(self) -> str:
        """The step that began last and has not ended; empty where there is none."""
        return next(reversed(self._open.values()), "")

    def begin_turn(self) -> None:
        """Start another turn: the steps of the last one are over."""
        self._open.clear()
        self._throttle.forget()

    def take(self, event: Event) -> None:
        """Report the step that an event begins or ends, if it does."""
        if (begun := step.begun(event)) is not None:
            call_id, text = begun
            self._open[call_id] = text = self._with_tokens(text)
            self._report(text)
        elif (done := step.done(event)) is not None:
            self._open.pop(getattr(event, "call_id", ""), None)
            self._report(self._with_tokens(done))

    def stop(self) -> None:
        """Report nothing more."""
        self._throttle.stop()

    def _report(self, text: str) -> None:
        if self.are_wanted:
            self._throttle.offer(text)

    def _with_tokens(self, text: str) -> str:
        used = self._tokens.used
        tail = f" ({used:,} tokens)" if used else ""
        return step.one_line(text, step.LONGEST - len(tail)) + tail
