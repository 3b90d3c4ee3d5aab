"""Sends the table of metrics to a collector of OpenTelemetry, again and again."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.protocol.telemetry.metric import Family
from greenroom.protocol.version import __version__
from greenroom.runtime.threads.daemon_thread import in_thread

log = logging.getLogger(__name__)

INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
"""The variable that says how often, in milliseconds."""
EVERY_MS: Final = 60_000.0
_UNITS: Final = {"seconds": "s", "bytes": "By", "": "1"}


class SnapshotReader(Protocol):
    """Where the values come from (`greenroom.supervisor.telemetry.collect.MetricsReader`)."""

    async def read(self) -> list[Family]:
        """Return all metrics."""
        ...

    def read_tables(self) -> list[Family]:
        """Return all but those of memory, at once."""
        ...


class MetricExport:
    """Belongs to one instance. `start` it on the running loop, and `stop` it."""

    def __init__(self, exporter: MetricExporter, resource: Resource, reader: SnapshotReader, started_at: float) -> None:
        """`started_at` is when counting began, in seconds since the epoch."""
        self._exporter, self._resource, self._reader = exporter, resource, reader
        self._started_ns = round(started_at * 1e9)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send in intervals from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="metrics")

    def stop(self) -> None:
        """Stop sending in intervals."""
        if self._task is not None:
            self._task.cancel()

    def present(self) -> MetricsData:
        """Return the present values, but for those of memory."""
        return self._data(self._reader.read_tables())

    def send_last(self, data: MetricsData) -> None:
        """Send the values of the end, however long that takes."""
        self._exporter.export(data)
        self._exporter.shutdown()

    async def _run(self) -> None:
        pause = _interval()
        while True:
            await asyncio.sleep(pause)
            try:
                data = self._data(await self._reader.read())
                await in_thread(partial(self._exporter.export, data))
            except Exception:
                log.exception("metrics could not be sent")

    def _data(self, families: Sequence[Family]) -> MetricsData:
        return metrics_data(families, self._resource, self._started_ns, time.time_ns())


def metrics_data(families: Sequence[Family], resource: Resource, started_ns: int, now_ns: int) -> MetricsData:
    """Return metrics in the form of OpenTelemetry."""
    scope = ScopeMetrics(
        InstrumentationScope("greenroom", __version__), list(_metrics(families, started_ns, now_ns)), ""
    )
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def otel_name(family: Family) -> str:
    """Return the name of a metric there: without its unit, which is told apart from it."""
    return family.name.removesuffix(f"_{family.metric.unit}").replace("_", ".", 1)


def _metrics(families: Sequence[Family], started_ns: int, now_ns: int) -> Iterator[Metric]:
    for family in families:
        metric = family.metric
        data: Sum | Gauge | Histogram
        if metric.kind == "histogram":
            data = Histogram(list(_distributions(family, started_ns, now_ns)), AggregationTemporality.CUMULATIVE)
        else:
            points = [
                NumberDataPoint(
                    dict(zip(metric.labels, sample.labels, strict=True)), started_ns, now_ns, _number(sample.value)
                )
                for sample in family.samples
            ]
            is_sum = metric.kind == "counter"
            data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if is_sum else Gauge(points)
        if data.data_points:
            yield Metric(otel_name(family), metric.help, _UNITS[metric.unit], data)


def _distributions(family: Family, started_ns: int, now_ns: int) -> Iterator[HistogramDataPoint]:
    for one in family.distributions:
        yield HistogramDataPoint(
            attributes=dict(zip(family.metric.labels, one.labels, strict=True)),
            start_time_unix_nano=started_ns,
            time_unix_nano=now_ns,
            count=sum(one.counts),
            sum=one.sum,
            bucket_counts=list(one.counts),
            explicit_bounds=list(family.metric.buckets),
            min=None,  # type: ignore[arg-type]  # neither is measured; both are then left out of the message
            max=None,  # type: ignore[arg-type]
        )


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _interval() -> float:
    """Return the seconds between two exports."""
    try:
        return max(float(os.environ.get(INTERVAL, EVERY_MS)), 100.0) / 1000
    except ValueError:
        return EVERY_MS / 1000
