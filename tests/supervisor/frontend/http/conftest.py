"""All tests of this folder have played workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.played import played


@pytest.fixture(autouse=True)
def workers_are_played(tmp_path: Path) -> Iterator[None]:
    with played({"CODEX_HOME": str(tmp_path)}):
        yield
