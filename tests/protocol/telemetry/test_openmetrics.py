"""The page is one that the official parser reads, with the values that were given."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.telemetry.metric import Distribution, Family, Metric, Sample
from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.protocol.telemetry.openmetrics import LabelPairs, metrics_page
from tests.support.openmetrics import read_page

labels = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(-1e12, 1e12) | st.integers(0, 2**60).map(float)


def family_of(name: str, metric: Metric) -> st.SearchStrategy[Family]:
    """Return a metric with values of any kind."""
    combinations = st.lists(st.tuples(*(labels for _ in metric.labels)), max_size=4, unique=True)
    if metric.kind == "histogram":
        counts = st.lists(st.integers(0, 1000), min_size=len(metric.buckets) + 1, max_size=len(metric.buckets) + 1).map(
            tuple
        )
        each = st.tuples(counts, st.floats(0, 1e9))
        return combinations.flatmap(
            lambda given: st.tuples(*(each for _ in given)).map(
                lambda values: Family(
                    name,
                    metric,
                    (),
                    tuple(Distribution(one, *value) for one, value in zip(given, values, strict=True)),
                )
            )
        )
    values = st.just(1.0) if metric.kind == "info" else numbers.map(abs) if metric.kind == "counter" else numbers
    return combinations.flatmap(
        lambda given: st.tuples(*(values for _ in given)).map(
            lambda told: Family(name, metric, tuple(Sample(one, value) for one, value in zip(given, told, strict=True)))
        )
    )


pages = st.tuples(*(family_of(name, metric) for name, metric in METRICS.items()))


@given(pages)
def test_every_page_is_read_by_the_official_parser(families: tuple[Family, ...]) -> None:
    found = read_page(metrics_page([((), families)]))
    for family in families:
        suffix = {"counter": "_total", "gauge": "", "info": "_info", "histogram": ""}[family.metric.kind]
        for sample in family.samples:
            key = frozenset(zip(family.metric.labels, sample.labels, strict=True))
            assert found[family.name + suffix, key] == pytest.approx(sample.value)
        for distribution in family.distributions:
            key = frozenset(zip(family.metric.labels, distribution.labels, strict=True))
            assert found[f"{family.name}_count", key] == sum(distribution.counts)
            assert found[f"{family.name}_sum", key] == pytest.approx(distribution.sum)
            for number, bound in enumerate((*family.metric.buckets, math.inf)):
                le = "+Inf" if bound == math.inf else repr(bound)
                below = sum(distribution.counts[: number + 1])
                assert found[f"{family.name}_bucket", key | {("le", le)}] == below


def test_two_instances_share_a_page_in_which_each_metric_is_described_once() -> None:
    families = [Family("greenroom_clients", METRICS["greenroom_clients"], (Sample((), 3.0),))]
    one: LabelPairs = (("pid", "1"),)
    other: LabelPairs = (("pid", "2"),)
    text = metrics_page([(one, families), (other, families)])
    assert text.count("# TYPE greenroom_clients gauge") == 1
    assert read_page(text) == {("greenroom_clients", frozenset({label})): 3.0 for label in (*one, *other)}


@pytest.mark.parametrize(("name", "metric"), METRICS.items(), ids=METRICS)
def test_a_metric_is_named_and_described_as_the_format_wants_it(name: str, metric: Metric) -> None:
    assert name.startswith("greenroom_")
    assert not metric.unit or name.endswith(f"_{metric.unit}")
    assert not name.endswith(("_total", "_info", "_count", "_sum", "_bucket", "_created"))
    assert metric.help.endswith(".")
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert sorted(metric.buckets) == list(metric.buckets)
    assert not {"le", "quantile", "pid"} & set(metric.labels)
