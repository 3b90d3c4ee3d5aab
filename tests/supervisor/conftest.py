"""Fixtures of tests that inspect instances."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.cli.status.stand_ins import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A runtime directory for stand-ins, which are gone at the end."""
    built = House(tmp_path)
    yield built
    built.close()
