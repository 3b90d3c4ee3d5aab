"""The interface through which a conversation emits events and notices."""

from typing import Protocol

from greenroom.protocol.internal.worker.notices import WorkerNotice


class EventSink(Protocol):
    """The interface; in a worker the mailbox implements it."""

    @property
    def pressed(self) -> bool:
        """Whether producers should wait."""
        ...

    def emit(self, event: bytes) -> None:
        """Queue an event: a JSON object on one line. Follow with `drain` if many are emitted."""

    def notify(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        """Queue a notice behind all events emitted so far."""

    async def drain(self) -> None:
        """Wait until the queue has been accepted."""
