"""Pages of metrics as the official parser reads them."""

import http.client
import socket
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


def page_at(path: str) -> str:
    """Return the page that is served at a Unix socket."""
    connection = http.client.HTTPConnection("anything")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(path)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()
