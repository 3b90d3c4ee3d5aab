"""Sends the records of a buffer to a collector, again and again."""

import asyncio
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, Protocol

from greenroom.protocol.errors import ConfigError
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.conversations.telemetry_records import Signal, TelemetryRecords
from greenroom.supervisor.telemetry.record_buffer import BufferLimits, RecordBuffer

log = logging.getLogger(__name__)

SPANS: Final = "OTEL_BSP"
"""What the names of the variables begin with that set the pace of spans, and next those of log records."""
LOGS: Final = "OTEL_BLRP"
DELAY_MS: Final = 10_000
_LIMITS: Final = BufferLimits()


class Sender(Protocol):
    """Sends messages of one kind to one collector."""

    def send(self, request: bytes) -> str:
        """Send an encoded message, or log why it cannot be sent. Takes as long as that takes.

        Return why the collector has not taken it, in a few words; empty where it has.
        """

    def shutdown(self) -> None:
        """Send nothing more; what waits for another attempt is given up."""


class ExportPace(NamedTuple):
    """How often is sent, and how much is kept until then."""

    delay: float = DELAY_MS / 1000
    """Seconds."""
    limits: BufferLimits = _LIMITS


def pace_of(prefix: str) -> ExportPace:
    """Return what the variables with this prefix say. Raises `ConfigError`."""
    delay = _positive(f"{prefix}_SCHEDULE_DELAY", DELAY_MS)
    records = _positive(f"{prefix}_MAX_QUEUE_SIZE", _LIMITS.records)
    batch = _positive(f"{prefix}_MAX_EXPORT_BATCH_SIZE", _LIMITS.batch)
    if batch > records:
        raise ConfigError(f"{prefix}_MAX_EXPORT_BATCH_SIZE is {batch}, and {prefix}_MAX_QUEUE_SIZE is {records}")
    return ExportPace(delay / 1000, BufferLimits(records, batch))


def _positive(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isdecimal() and int(text)):
        raise ConfigError(f"the variable {name} is `{text}`, and it has to be a whole number above 0")
    return int(text)


class BatchExport:
    """Belongs to one buffer. `start` it on the running loop, and `close` it."""

    def __init__(
        self, what: Signal, buffer: RecordBuffer, sender: Sender, delay: float, records: TelemetryRecords
    ) -> None:
        """`delay` is how many seconds records may wait. What becomes of them is added to `records`."""
        self._records = records
        self._what, self._buffer, self._sender = what, buffer, sender
        self.delay = delay
        """Seconds."""
        self._due = asyncio.Event()
        """There is a message's worth of records, or no further ones will come."""
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self, others: "Iterable[BatchExport]" = ()) -> None:
        """Send from now on, also when one of `others` has a message's worth of records and the same delay as this.

        Exports that happen together cost less.
        """
        group = [self, *(other for other in others if other is not self and other.delay == self.delay)]

        def hasten_all() -> None:
            for export in group:
                export.hasten()

        self._buffer.on_batch = hasten_all
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"export of {self._what}")

    def hasten(self) -> None:
        """Send what there is now."""
        self._due.set()

    async def close(self) -> None:
        """Send what there is, and end. What cannot be sent at the first attempt is given up where this is cancelled."""
        self._closing = True
        self._due.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._sender.shutdown()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        begun, is_last = now(), False
        while not is_last:
            at = max(begun + self.delay, now())  # exports that began together stay together
            with suppress(TimeoutError):
                async with asyncio.timeout_at(at):
                    await self._due.wait()
            begun, is_last = now(), self._closing
            await self._send()

    async def _send(self) -> None:
        batches, dropped = self._buffer.take()
        self._due.clear()  # taking may have made it so
        if dropped:
            self._records.count(self._what, "dropped", dropped)
            log.warning("%d %s were dropped: the collector takes them too slowly", dropped, self._what)
        for batch in batches:
            try:
                why = await in_thread(partial(self._sender.send, batch.message))
            except Exception as error:
                log.exception("%s could not be sent", self._what)
                why = type(error).__name__
            self._records.count(self._what, "failed" if why else "sent", batch.records, why)
