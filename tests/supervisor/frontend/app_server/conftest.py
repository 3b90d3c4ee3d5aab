"""A server with one client, all of whose messages are judged by the schemas of the reference where there are any."""

from collections.abc import Callable

import pytest

from benchmarks.reference_program import Missing
from tests.conformance.app_server.schemas import Judge, printed_schemas
from tests.support.app_server import AppServer, serve
from tests.support.stage import Stage

Serve = Callable[..., AppServer]


@pytest.fixture
def app(stage: Stage) -> Serve:
    """Return what starts a server of the stage."""
    schemas = printed_schemas()

    def start(*arguments: str) -> AppServer:
        return serve(stage, *arguments, judge=None if isinstance(schemas, Missing) else Judge(schemas))

    return start
