"""Where a conversation's events and notices go, as the conversation sees it."""

from typing import Protocol

from greenroom.protocol.internal.worker import Notice


class Outlet(Protocol):
    """A way out. In a worker it is its mailbox."""

    @property
    def pressed(self) -> bool:
        """Whether producers should wait."""
        ...

    def emit(self, event: bytes) -> None:
        """Queue an event: a JSON object on one line. Follow with `drain` where many are emitted."""

    def notify(self, notice: Notice, payload: bytes = b"") -> None:
        """Queue a notice behind all events emitted so far."""

    async def drain(self) -> None:
        """Wait until what was emitted is taken."""
