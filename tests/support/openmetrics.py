"""Pages of metrics as the official parser reads them."""

import http.client
import socket
from collections.abc import Mapping
from typing import TypeAlias

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.deadline import until

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
    """Return the page that is served at a Unix socket, once it is: a server takes calls before that."""
    connection = http.client.HTTPConnection("anything")
    connection.sock = until(lambda: _connected(path))
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def _connected(path: str) -> socket.socket | None:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(20)
    try:
        made.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        made.close()
        return None
    return made
