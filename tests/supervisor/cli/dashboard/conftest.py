"""Fixtures of tests of the dashboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.status.stand_ins import House
from tests.support.browser import ABSENT, Browser, executable


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A runtime directory for stand-ins, which are gone at the end."""
    built = House(tmp_path)
    yield built
    built.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all tests of a module; each has pages of its own."""
    if executable() is None:
        pytest.skip(ABSENT)
    started = Browser()
    yield started
    started.close()
