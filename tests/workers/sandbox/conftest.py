import os
import sys
from collections.abc import Iterator

import pytest

from tests.workers.sandbox.cell import PYTHON, Cell, Kind, cell

if sys.platform != "linux":
    collect_ignore_glob = ["test_holds_*.py", "test_launcher.py"]

KINDS: list[Kind] = ["user", "user without namespaces", "root"]


@pytest.fixture(scope="session", params=KINDS)
def inside(request: pytest.FixtureRequest) -> Iterator[Cell]:
    """A process that starts confined commands, as each kind of user."""
    kind: Kind = request.param
    if kind == "root" and os.getuid() != 0:
        pytest.skip("not root")
    if PYTHON is None:
        pytest.skip("the attempts need a python3 that everybody can run")
    with cell(kind) as started:
        yield started
