"""OpenTelemetry: sends traces, events and metrics of the instance as the table `[otel]` says.

Everything is sent from the supervisor, by exporters of the SDK in threads. No other process has them: the fork server
and the workers know nothing of it.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, Final

from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.config.tables.otel import OtelTable
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.version import __version__
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import Moment
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.batch_export import LOGS, SPANS, BatchExport, pace_of
from greenroom.supervisor.telemetry.events import LoggedEvents, NoEventLog, TelemetryEvents
from greenroom.supervisor.telemetry.exporters import Exporters
from greenroom.supervisor.telemetry.guard import GuardedProbe
from greenroom.supervisor.telemetry.metric_export import MetricExport, SnapshotReader
from greenroom.supervisor.telemetry.otlp_binary import pairs
from greenroom.supervisor.telemetry.record_buffer import RecordBuffer, SenderIdentity
from greenroom.supervisor.telemetry.turn_records import Destination, LongestTexts
from greenroom.supervisor.telemetry.turn_tracing import MOST_UNWRITTEN, TurnTracing

log = logging.getLogger(__name__)

SERVICE: Final = "greenroom"
LAST_EXPORT: Final = 1.0
"""Seconds that the last export may take when the instance ends."""


class Telemetry:
    """What one instance sends. `close` it when all turns have ended."""

    def __init__(self, settings: OtelTable, host: ConversationHost, reader: SnapshotReader) -> None:
        """Begin to follow the turns of `host`; `reader` knows the metrics. Raises `ConfigError`."""
        exporters = Exporters(host.environment)
        spans, logs = exporters.for_spans(settings.trace_exporter), exporters.for_logs(settings.exporter)
        self.resource = Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE), "service.version": __version__}
            | {"env": settings.environment, "deployment.environment.name": settings.environment}
        )
        metrics = exporters.for_metrics(settings.metrics_exporter)
        self._metrics = None if metrics is None else MetricExport(metrics, self.resource, reader, host.started_at)
        self._exports: list[BatchExport] = []
        identity, limits = SenderIdentity(self.resource, InstrumentationScope(SERVICE, __version__)), SpanLimits()
        self._longest = LongestTexts(limits.max_span_attribute_length, limits.max_attribute_length)
        self._events: TelemetryEvents = NoEventLog()
        span_records, buffers = None, []
        if spans is not None:
            pace = pace_of(SPANS)
            span_records = RecordBuffer(identity.around_spans, pace.limits)
            buffers.append(span_records)
            self._exports.append(BatchExport("spans", span_records, spans, pace.delay, host.telemetry_records))
        if logs is not None:
            pace = pace_of(LOGS)
            log_records = RecordBuffer(identity.around_logs, pace.limits)
            buffers.append(log_records)
            self._exports.append(BatchExport("events", log_records, logs, pace.delay, host.telemetry_records))
            self._events = LoggedEvents(log_records)
        if self._exports:
            destination = Destination(
                span_records,
                self._events,
                takes_prompts=settings.log_user_prompt,
                extra=pairs(settings.span_attributes, self._longest.span),
                longest=self._longest,
            )
            sampler = TracerProvider(shutdown_on_exit=False).sampler  # as the variables of the SDK say
            least = min(buffer.limits.batch for buffer in buffers)
            tracing = TurnTracing(destination, sampler=sampler, most_unwritten=min(MOST_UNWRITTEN, least))
            for buffer in buffers:
                buffer.before_take = tracing.write
            host.conversations.probes.append(GuardedProbe(tracing))
            host.conversations.open_listeners.append(self._opened)
        for export in self._exports:
            export.start(self._exports)
        if self._metrics is not None:
            self._metrics.start()

    def _opened(self, conversation: Conversation, configured: bytes) -> None:
        """Tell of a conversation that has begun; one that goes on in another process has not.

        It began when its first turn was sent to its worker, which may be at the turn already when it tells of itself.
        """
        if conversation.incarnation == 1 and conversation.resume != "must":
            try:
                first = conversation.running
                began = (first and first.started_at) or Moment.now()
                about = events.conversation_pairs(conversation.id, self._longest.event)
                self._events.emit(events.conversation_starts(configured, began.at, self._longest.event), about)
            except Exception:
                log.exception("the beginning of conversation %s cannot be told", conversation.id)

    async def close(self) -> None:
        """Send what has not been sent, for a limited time."""
        if self._metrics is not None:
            self._metrics.stop()
        try:
            async with asyncio.timeout(LAST_EXPORT):
                ends = await asyncio.gather(*self._last_exports(), return_exceptions=True)
        except TimeoutError:
            log.warning("the last telemetry could not be sent within %.0f s", LAST_EXPORT)
            return
        for error in filter(None, ends):
            log.warning("the last telemetry could not be sent: %s", error)

    def _last_exports(self) -> Iterator[Coroutine[Any, Any, None]]:
        for export in self._exports:
            yield export.close()
        if self._metrics is not None:
            yield in_thread(partial(self._metrics.send_last, self._metrics.present()))


def start_telemetry(settings: OtelTable, host: ConversationHost, reader: SnapshotReader) -> Telemetry | None:
    """Return what sends telemetry, `None` where the settings cannot be followed, which is logged."""
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        log.info("no telemetry is sent: the variable %s says so", OTEL_SDK_DISABLED)
        return None
    try:
        return Telemetry(settings, host, reader)
    except GreenroomError as error:
        log.error("no telemetry is sent: %s", error)
    except Exception:  # of the SDK, which reads variables of its own
        log.exception("no telemetry is sent")
    return None
