"""Fixtures of tests that look at instances."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.status.stand_ins import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A place of its own for stand-ins, of which nothing is left at the end."""
    built = House(tmp_path)
    yield built
    built.close()
