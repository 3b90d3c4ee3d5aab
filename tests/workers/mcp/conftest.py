"""Fixtures of tests of the servers of a conversation."""

from collections.abc import Iterator

import pytest

from greenroom.config.section import check
from greenroom.config.tables.servers import McpServer
from tests.support.imported import Imported
from tests.workers.mcp.cast import HERE, Official


@pytest.fixture(scope="session")
def official_command() -> Iterator[tuple[str, ...]]:
    """The command of the server of the official SDK, whose import is made once."""
    imported = Imported(HERE / "official.py", options=["-I"])
    yield imported.command
    imported.close()


@pytest.fixture
def official(official_command: tuple[str, ...]) -> Official:
    """Return what makes the table of such a server."""

    def make(**more: object) -> McpServer:
        command, *args = official_command
        return check(McpServer, {"command": command, "args": args, **more})

    return make
