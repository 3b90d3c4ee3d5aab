"""What the tests of nodes share."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def lifeline() -> Iterator[int]:
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)
