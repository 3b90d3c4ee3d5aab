"""Fixtures of tests with programs of other makers."""

from collections.abc import Iterator

import pytest

from tests.conformance.foreign import Imports


@pytest.fixture(scope="session")
def imports() -> Iterator[Imports]:
    """What starts programs of Python whose imports are made once for all tests."""
    made = Imports()
    yield made
    made.close()
