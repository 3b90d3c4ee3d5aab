"""A whole server runs on every CPython that is supported, where the machine has it; its packages are installed then."""

import sys
from pathlib import Path

import pytest

from benchmarks.interpreters import VERSIONS, Uninstalled, Version, installed
from tests.on_interpreters import PART, ROOT, SHORT_PART, demo, short_part

OTHERS = [version for version in VERSIONS if version != sys.version_info[:2]]


@pytest.fixture(params=OTHERS, ids=lambda version: ".".join(map(str, version)))
def programs(request: pytest.FixtureRequest) -> Path:
    """The directory of the programs of an environment on another version."""
    version: Version = request.param
    found = installed(version)
    if isinstance(found, Uninstalled):
        pytest.skip("CPython {}.{}: {}".format(*version, found.reason))
    return found


@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_demo_succeeds(programs: Path) -> None:
    shown = demo(programs)
    assert shown.returncode == 0, f"{shown.stdout}\n{shown.stderr}"


@pytest.mark.server
@pytest.mark.timeout(900)
def test_what_starts_and_forks_processes_works(programs: Path) -> None:
    ended = short_part(programs)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


def test_the_parts_of_the_tests_for_other_interpreters_are_there() -> None:
    assert [name for name in (*PART, *SHORT_PART) if not (ROOT / name).exists()] == []
    uncovered = [name for name in SHORT_PART if not any(name.startswith(f"{part}/") for part in PART)]
    assert uncovered == [], "`make test-interpreters` runs them too"
