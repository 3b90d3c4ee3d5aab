"""A server with one client, all of whose messages are judged by the schemas of the reference where there are any."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from benchmarks.reference_program import Missing
from tests.conformance.app_server.schemas import Judge, printed_schemas
from tests.support.app_server import AppServer, serve
from tests.support.stage import Stage

HERE: Final = Path(__file__).parent
Serve = Callable[..., AppServer]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests here the time to fetch the reference, which the first run on a machine does."""
    for item in items:
        if item.path.parent == HERE and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture
def app(stage: Stage) -> Serve:
    """Return what starts a server of the stage."""
    schemas = printed_schemas()

    def start(*arguments: str) -> AppServer:
        return serve(stage, *arguments, judge=None if isinstance(schemas, Missing) else Judge(schemas))

    return start
