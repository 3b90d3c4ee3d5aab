"""Pages of metrics as the official parser reads them."""

from collections.abc import Mapping
from typing import TypeAlias

from prometheus_client.openmetrics.parser import text_string_to_metric_families

Samples: TypeAlias = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by their name and labels."""


def read_page(text: str) -> Samples:
    """Return the samples of a page. Raises `ValueError` where it is not in the format."""
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
