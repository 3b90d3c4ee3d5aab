"""The text of metrics: OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/). Free of I/O."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final, TypeAlias

from greenroom.protocol.telemetry.metric import Distribution, Family, Metric

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END: Final = "# EOF\n"

LabelPairs: TypeAlias = tuple[tuple[str, str], ...]
LabelledFamilies: TypeAlias = tuple[LabelPairs, Sequence[Family]]
"""Labels that tell an instance from others, and its metrics."""


def metrics_page(told: Iterable[LabelledFamilies]) -> str:
    """Return the page of one or more instances. Each metric is described once, with the samples of all of them."""
    families: dict[str, tuple[Metric, list[str]]] = {}
    for extra, ones in told:
        for family in ones:
            _, lines = families.setdefault(family.name, (family.metric, []))
            lines.extend(_lines(family, extra))
    blocks = (line for name, (metric, lines) in families.items() for line in (*_head(name, metric), *lines))
    return "".join(f"{line}\n" for line in blocks) + END


@lru_cache(maxsize=256)
def _head(name: str, metric: Metric) -> Sequence[str]:
    unit = [f"# UNIT {name} {metric.unit}"] if metric.unit else []
    return [f"# TYPE {name} {metric.kind}", *unit, f"# HELP {name} {_escaped(metric.help)}"]


_SUFFIX: Final = {"counter": "_total", "gauge": "", "info": "_info"}


def _lines(family: Family, extra: LabelPairs) -> Iterator[str]:
    for sample in family.samples:
        labels = (*zip(family.metric.labels, sample.labels, strict=True), *extra)
        yield f"{family.name}{_SUFFIX[family.metric.kind]}{_braces(labels)} {_number(sample.value)}"
    for distribution in family.distributions:
        yield from _histogram(family, distribution, extra)


def _histogram(family: Family, distribution: Distribution, extra: LabelPairs) -> Iterator[str]:
    labels = (*zip(family.metric.labels, distribution.labels, strict=True), *extra)
    totals = list(accumulate(distribution.counts))
    for bucket, total in zip(_buckets(family.name, family.metric.buckets, labels), totals, strict=True):
        yield f"{bucket} {total}"
    yield f"{family.name}_count{_braces(labels)} {totals[-1]}"
    yield f"{family.name}_sum{_braces(labels)} {_number(distribution.sum)}"


@lru_cache(maxsize=256)
def _buckets(name: str, bounds: Sequence[float], labels: LabelPairs) -> Sequence[str]:
    """Return the names of the series of a histogram; they are the same on each page."""
    ends = (*map(repr, map(float, bounds)), "+Inf")
    return [f"{name}_bucket{_braces((*labels, ('le', end)))}" for end in ends]


@lru_cache(maxsize=1024)
def _braces(labels: LabelPairs) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
