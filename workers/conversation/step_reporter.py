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
        self._open: dict[str, step.Beginning] = {}
        self.are_wanted = False
        """Whether steps are reported."""

    @property
    def present(self) -> str:
        """The step that began last and has not ended; empty where there is none."""
        latest = next(reversed(self._open.values()), None)
        return "" if latest is None else self._with_tokens(step.begun(latest))

    def begin_turn(self) -> None:
        """Start another turn: the steps of the last one are over."""
        self._open.clear()
        self._throttle.forget()

    def take(self, event: Event) -> None:
        """Note the step that an event begins or ends, if it does, and report it if steps are reported."""
        if isinstance(event, step.Beginning):
            self._open[event.call_id] = event
            if self.are_wanted:
                self._throttle.offer(self._with_tokens(step.begun(event)))
            return
        if isinstance(event, step.End):
            self._open.pop(event.call_id, None)
        if self.are_wanted and (done := step.done(event)) is not None:
            self._throttle.offer(self._with_tokens(done))

    def stop(self) -> None:
        """Report nothing more."""
        self._throttle.stop()

    def _with_tokens(self, text: str) -> str:
        used = self._tokens.used
        tail = f" ({used:,} tokens)" if used else ""
        return step.one_line(text, step.LONGEST - len(tail)) + tail
