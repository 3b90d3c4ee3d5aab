"""A fixture for toolboxes, which checks that no process is left."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import processes
from tests.workers.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    before = set(psutil.Process().children(recursive=True))
    yield Place(tmp_path)
    left = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert processes.remaining(left, 2.0) == []
