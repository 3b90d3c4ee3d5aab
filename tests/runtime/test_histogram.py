"""Each value is in one bucket, the first whose bound it does not exceed."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.runtime.histogram import Histogram, HistogramFamily

NAME = "greenroom_tool_duration_seconds"


@given(st.lists(st.floats(0, 1e6)), st.lists(st.floats(0, 1e6), unique=True, max_size=5).map(sorted))
def test_every_value_is_counted_once_at_its_place(values: list[float], bounds: list[float]) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    for number, bound in enumerate(bounds):
        assert sum(histogram.counts[: number + 1]) == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)
    assert math.isclose(histogram.sum, math.fsum(values))


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(-5.0)
    assert (histogram.counts, histogram.sum) == ([1, 0], 0.0)


def test_combinations_of_labels_are_kept_apart() -> None:
    family = HistogramFamily(NAME)
    family.observe(0.2, "shell")
    family.observe(0.2, "shell")
    family.observe(1e9, "mcp")
    shell, mcp = family.distributions
    assert (shell.labels, sum(shell.counts), shell.sum) == (("shell",), 2, 0.4)
    assert (mcp.labels, mcp.counts[-1]) == (("mcp",), 1)
    assert len(mcp.counts) == len(METRICS[NAME].buckets) + 1


@given(st.lists(st.floats(0, 40), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_right_to_a_bucket(values: list[float], share: float) -> None:
    family = HistogramFamily(NAME)
    for value in values:
        family.observe(value)
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    bounds = METRICS[NAME].buckets
    bucket = bisect_left(bounds, exact)
    found = family.quantile(share)
    assert found is not None
    if bucket == len(bounds):
        assert found == bounds[-1]
    else:
        below = bounds[bucket - 1] if bucket else 0.0
        assert below - 1e-9 <= found <= bounds[bucket] + 1e-9


def test_without_values_there_is_no_quantile() -> None:
    assert HistogramFamily(NAME).quantile(0.5) is None


def test_the_quantile_of_several_series_is_that_of_all() -> None:
    family = HistogramFamily(NAME)
    for _ in range(99):
        family.observe(METRICS[NAME].buckets[0] / 2, "shell")
    family.observe(1e9, "mcp")
    assert family.quantile(0.5) == pytest.approx(METRICS[NAME].buckets[0] * 50 / 99)
    assert family.quantile(1.0) == METRICS[NAME].buckets[-1]
