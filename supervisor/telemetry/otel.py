"""OpenTelemetry: sends traces, events and metrics of the instance as the table `[otel]` says.

Everything is sent from the supervisor, by threads of the SDK. No other process has them: the fork server and the
workers know nothing of it.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from greenroom.config.otel import OtelTable
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.version import __version__
from greenroom.runtime.daemon_thread import in_thread
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.telemetry import events
from greenroom.supervisor.telemetry.events import LoggedEvents, NoEventLog, TelemetryEvents
from greenroom.supervisor.telemetry.exporters import Exporters
from greenroom.supervisor.telemetry.guard import GuardedProbe
from greenroom.supervisor.telemetry.metric_export import MetricExport, SnapshotReader
from greenroom.supervisor.telemetry.planned_ids import PlannedIds
from greenroom.supervisor.telemetry.turn_tracing import TurnTracing

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
        ids = PlannedIds()
        self._traces = TracerProvider(resource=self.resource, id_generator=ids, shutdown_on_exit=False)
        self._logs = LoggerProvider(resource=self.resource, shutdown_on_exit=False)
        if spans is not None:
            self._traces.add_span_processor(BatchSpanProcessor(spans))
        if logs is not None:
            self._logs.add_log_record_processor(BatchLogRecordProcessor(logs))
        self._events: TelemetryEvents = (
            NoEventLog() if logs is None else LoggedEvents(self._logs.get_logger(SERVICE, __version__))
        )
        if spans is not None or logs is not None:
            tracing = TurnTracing(
                self._traces.get_tracer(SERVICE, __version__),
                ids,
                self._events,
                log_user_prompt=settings.log_user_prompt,
                propagates=spans is not None,
                extra=settings.span_attributes,
            )
            host.conversations.probes.append(GuardedProbe(tracing))
            host.conversations.open_listeners.append(self._opened)
        if self._metrics is not None:
            self._metrics.start()

    def _opened(self, conversation: Conversation, configured: bytes) -> None:
        """Tell of a conversation that has begun; one that goes on in another process has not."""
        if conversation.incarnation == 1 and conversation.resume != "must":
            try:
                self._events.emit("codex.conversation_starts", conversation.id, events.conversation_starts(configured))
            except Exception:
                log.exception("the beginning of conversation %s cannot be told", conversation.id)

    async def close(self) -> None:
        """Send what has not been sent, for a limited time."""
        if self._metrics is not None:
            self._metrics.stop()
        try:
            async with asyncio.timeout(LAST_EXPORT):
                ends = await asyncio.gather(*map(in_thread, self._last_exports()), return_exceptions=True)
        except TimeoutError:
            log.warning("the last telemetry could not be sent within %.0f s", LAST_EXPORT)
            return
        for error in filter(None, ends):
            log.warning("the last telemetry could not be sent: %s", error)

    def _last_exports(self) -> Iterator[Callable[[], object]]:
        yield self._traces.shutdown
        yield self._logs.shutdown
        if self._metrics is not None:
            yield partial(self._metrics.send_last, self._metrics.present())


def start_telemetry(settings: OtelTable, host: ConversationHost, reader: SnapshotReader) -> Telemetry | None:
    """Return what sends telemetry, `None` where the settings cannot be followed, which is logged."""
    try:
        return Telemetry(settings, host, reader)
    except GreenroomError as error:
        log.error("no telemetry is sent: %s", error)
    except Exception:  # of the SDK, which reads variables of its own
        log.exception("no telemetry is sent")
    return None
