"""A metric, and its values at one moment as an instance tells them. Free of I/O."""

from typing import Final, Literal, TypeAlias

import msgspec

MetricKind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets of what should take milliseconds, in seconds."""
LONG: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Buckets of what may take minutes, in seconds."""


class Metric(msgspec.Struct, frozen=True):
    """One metric."""

    kind: MetricKind
    help: str
    """One sentence."""
    labels: tuple[str, ...] = ()
    unit: str = ""
    """`seconds`, `bytes` or empty; the name ends with it."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, without infinity."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """A value of a counter, a gauge or an info."""

    labels: tuple[str, ...]
    value: float


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """The values of a histogram."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Values in each bucket alone, the last of which has no bound."""
    sum: float


class Family(msgspec.Struct, frozen=True):
    """A metric and its values."""

    name: str
    metric: Metric
    samples: tuple[Sample, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def counter(text: str, *labels: str, unit: str = "") -> Metric:
    """Return a counter; `text` is one sentence."""
    return Metric("counter", text, labels, unit)


def gauge(text: str, *labels: str, unit: str = "") -> Metric:
    """Return a gauge; `text` is one sentence."""
    return Metric("gauge", text, labels, unit)


def histogram(text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    """Return a histogram of seconds; `text` is one sentence."""
    return Metric("histogram", text, labels, "seconds", buckets)
