"""Fixtures of tests that start real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import processes
from tests.support.stage import Stage

settings.register_profile("patient", deadline=None)  # how long an example takes is up to whoever shares the machine
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    """No test changes what the process of the tests is to the kernel: it would matter to those that follow."""
    before = processes.own_traits()
    yield
    assert processes.own_traits() == before


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
