"""Counts values in buckets, one histogram for each combination of labels."""

from bisect import bisect_left
from collections.abc import Sequence

from greenroom.protocol.telemetry.metric import Distribution
from greenroom.protocol.telemetry.metrics import METRICS


class Histogram:
    """The values of one combination of labels."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper ends of the buckets, in ascending order; a last bucket takes what is beyond."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Values in each bucket alone. A value that equals a bound belongs below it."""
        self.sum = 0.0
        """Sum of all values."""

    def observe(self, value: float) -> None:
        """Count a value; a negative one, as of a clock that was set back, counts as 0."""
        value = max(value, 0.0)
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class HistogramFamily:
    """The histograms of one metric."""

    def __init__(self, name: str) -> None:
        """`name` is in `greenroom.protocol.telemetry.metrics.METRICS`."""
        self.name = name
        self._bounds = METRICS[name].buckets
        self._series: dict[tuple[str, ...], Histogram] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Histogram(self._bounds)
        series.observe(value)

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of all values does not exceed, `None` where there are none.

        It is known to a bucket, within which values are taken to be evenly spread; one beyond the last bound counts as
        that bound. `histogram_quantile` of Prometheus returns the same.
        """
        totals: list[int] = [sum(counts) for counts in zip(*(one.counts for one in self._series.values()), strict=True)]
        rank, below = share * sum(totals), 0
        lower: float = 0.0
        for bound, count in zip(self._bounds, totals, strict=False):
            if count and below + count >= rank:
                return lower + (bound - lower) * (rank - below) / count
            below, lower = below + count, bound
        return lower if totals else None

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        """All values so far."""
        return tuple(Distribution(labels, tuple(one.counts), one.sum) for labels, one in self._series.items())
