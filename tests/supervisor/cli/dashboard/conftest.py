"""Fixtures of tests of the dashboard."""

from collections.abc import Iterator

import pytest

from tests.support.browser import ABSENT, Browser, executable


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all tests of a module; each has pages of its own."""
    if executable() is None:
        pytest.skip(ABSENT)
    started = Browser()
    yield started
    started.close()
