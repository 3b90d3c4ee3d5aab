"""Fixtures of tests that start real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import processes
from tests.support.stage import Stage

# The duration of an example depends on the load of the machine.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _no_orphans() -> Iterator[None]:
    """No test may leave the test process as a subreaper, which would adopt the orphans of all later tests."""
    yield
    assert not processes.adopts_orphans()


@pytest.fixture(params=["fork", "spawn"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    name = request.param
    assert isinstance(name, str)
    return name


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A home, a workspace and, on request, models and servers, all of which are gone at the end."""
    built = Stage(tmp_path)
    yield built
    built.strike()
