"""Cells of each kind of user, started on first use."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.workers.sandbox.cell import PYTHON, Cell, Kind, cell

if sys.platform != "linux":
    collect_ignore_glob = ["test_holds_*.py", "test_allows_files.py", "test_launcher.py"]

Cells: TypeAlias = Callable[[Kind], Cell]

WITH_A_VIEW: list[Kind] = ["user", "root"] if os.getuid() == 0 else ["user"]
NARROW: list[Kind] = ["user without namespaces"]


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    """Start a cell of a kind, once per file of tests."""
    if PYTHON is None:
        pytest.skip("the attempts need a python3 that everybody can run")
    started: dict[Kind, Cell] = {}
    with contextlib.ExitStack() as stack:

        def start(kind: Kind) -> Cell:
            if kind not in started:
                started[kind] = stack.enter_context(cell(kind))
            return started[kind]

        yield start


@pytest.fixture(params=WITH_A_VIEW + NARROW)
def inside(request: pytest.FixtureRequest, cells: Cells) -> Cell:
    """A process that starts confined commands, as each kind of user."""
    return cells(request.param)


@pytest.fixture(params=WITH_A_VIEW)
def with_view(request: pytest.FixtureRequest, cells: Cells) -> Cell:
    """One whose commands have their own view of the file system, as usual."""
    return cells(request.param)


@pytest.fixture(params=NARROW)
def narrow(request: pytest.FixtureRequest, cells: Cells) -> Cell:
    """One that cannot create namespaces."""
    return cells(request.param)


@pytest.fixture
def user(cells: Cells) -> Cell:
    """One without privileges, and with namespaces."""
    return cells("user")
