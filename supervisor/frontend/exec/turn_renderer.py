"""How a turn is told: as lines for programs, or as text for people. Both take the same steps."""

from collections.abc import Iterator
from typing import Protocol

from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.failure import Failure
from greenroom.supervisor.frontend.thread_items.update import Update


class TurnRenderer(Protocol):
    """Tells of one turn. What it yields is written as it is."""

    def opened(self, event: SessionConfigured) -> Iterator[bytes]:
        """Tell that the conversation is open."""

    def tell(self, one: Update) -> Iterator[bytes]:
        """Tell a step."""

    def fail(self, failure: Failure) -> Iterator[bytes]:
        """Tell why a turn has failed of which no step tells that; nothing follows."""

    def warn(self, text: str) -> Iterator[bytes]:
        """Tell something that the user should know."""
