"""Fixtures of tests that start real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import processes
from tests.support.stage import Stage

# How long an example takes is up to whoever shares the machine.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _no_orphans() -> Iterator[None]:
    """No test leaves the process of the tests as one to which the orphans of all that follow come."""
    yield
    assert not processes.adopts_orphans()


@pytest.fixture(params=["fork", "spawn"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each way in which the processes of a server come into being."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A home, a workspace and, on demand, models and servers, of which nothing is left at the end."""
    built = Stage(tmp_path)
    yield built
    built.strike()
